package api

import (
	"testing"
	"time"

	"crier/internal/post"
)

func TestReceiptOfAnAddress(t *testing.T) {
	t.Parallel()
	tests := []struct {
		platform      post.Platform
		address, want string // want is the remote id, empty when the address is refused
	}{
		{post.Twitter, "https://x.com/acme/status/123?s=20", "123"},
		{post.Twitter, "https://mobile.twitter.com/acme/status/123/photo/1", "123"},
		{post.Twitter, "https://x.com.evil.example/acme/status/123", ""},
		{post.Twitter, "https://user@x.com/acme/status/123", ""},
		{post.Twitter, "ftp://x.com/acme/status/123", ""},
		{post.Twitter, "", ""},
		{post.Reddit, "https://www.reddit.com/r/golang/comments/1abc2/crier_10/", "t3_1abc2"},
		{post.Reddit, "https://old.reddit.com/r/golang/comments/1abc2/crier_10/k9xyz/", "t1_k9xyz"},
		{post.Reddit, "https://redd.it/1abc2", "t3_1abc2"},
		{post.YouTube, "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.YouTube, "https://www.youtube.com/watch?v=dQw4w9WgXcQ&lc=Ugx", "Ugx"},
		{post.YouTube, "https://youtu.be/dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.YouTube, "https://www.youtube.com/shorts/dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.Facebook, "https://www.facebook.com/acme/posts/pfbid0abc#x", "https://www.facebook.com/acme/posts/pfbid0abc"},
		{post.Facebook, "https://x.com/acme/status/123", ""},
	}
	for _, tt := range tests {
		r, ok := receiptOf(tt.platform, tt.address, time.Unix(0, 0))
		if ok != (tt.want != "") || r.RemoteID != tt.want {
			t.Errorf("%s on %s: %q, %v, want %q", tt.address, tt.platform, r.RemoteID, ok, tt.want)
		}
	}
}
