package api

import (
	"testing"
	"time"

	"crier/internal/post"
)

func TestReceiptOfAnAddress(t *testing.T) {
	t.Parallel()
	const p, c = post.RolePost, post.RoleComment
	tests := []struct {
		platform      post.Platform
		role          post.Role
		address, want string // want is the remote id, empty when the address is refused
	}{
		{post.Twitter, p, "https://x.com/acme/status/123?s=20", "123"},
		{post.Twitter, p, "https://mobile.twitter.com/acme/status/123/photo/1", "123"},
		{post.Twitter, c, "https://x.com/acme/status/124", "124"},
		{post.Twitter, p, "https://x.com/acmeinc", ""},
		{post.Twitter, p, "https://x.com/acme/status/", ""},
		{post.Twitter, p, "https://x.com.evil.example/acme/status/123", ""},
		{post.Twitter, p, "https://user@x.com/acme/status/123", ""},
		{post.Twitter, p, "ftp://x.com/acme/status/123", ""},
		{post.Twitter, p, "", ""},
		{post.Reddit, p, "https://www.reddit.com/r/golang/comments/1abc2/crier_10/", "t3_1abc2"},
		{post.Reddit, c, "https://old.reddit.com/r/golang/comments/1abc2/crier_10/k9xyz/", "t1_k9xyz"},
		{post.Reddit, p, "https://old.reddit.com/r/golang/comments/1abc2/crier_10/k9xyz/", "t3_1abc2"},
		{post.Reddit, c, "https://www.reddit.com/r/golang/comments/1abc2/crier_10/", ""},
		{post.Reddit, p, "https://redd.it/1abc2", "t3_1abc2"},
		{post.Reddit, p, "https://www.reddit.com/r/golang/", ""},
		{post.Reddit, p, "https://www.reddit.com/r/golang/s/AbC123", ""},
		{post.YouTube, p, "https://www.youtube.com/watch?v=dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.YouTube, c, "https://www.youtube.com/watch?v=dQw4w9WgXcQ&lc=Ugx.9_-a", "Ugx.9_-a"},
		{post.YouTube, p, "https://www.youtube.com/watch?v=dQw4w9WgXcQ&lc=Ugx", "dQw4w9WgXcQ"},
		{post.YouTube, c, "https://www.youtube.com/watch?v=dQw4w9WgXcQ", ""},
		{post.YouTube, p, "https://youtu.be/dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.YouTube, p, "https://www.youtube.com/shorts/dQw4w9WgXcQ", "dQw4w9WgXcQ"},
		{post.YouTube, p, "https://www.youtube.com/@acme", ""},
		{post.YouTube, p, "https://www.youtube.com/watch?v=a%20b", ""},
		{post.Facebook, p, "https://www.facebook.com/100_456", "100_456"},
		{post.Facebook, p, "https://www.facebook.com/100/posts/456", "100_456"},
		{post.Facebook, p, "https://www.facebook.com/acme/posts/456?__cft__=x", "100_456"},
		{post.Facebook, p, "https://www.facebook.com/acme/posts/some-words/456/", "100_456"},
		{post.Facebook, p, "https://www.facebook.com/permalink.php?story_fbid=456&id=100", "100_456"},
		{post.Facebook, p, "https://m.facebook.com/story.php?story_fbid=456&id=100", "100_456"},
		{post.Facebook, c, "https://www.facebook.com/acme/posts/456?comment_id=789", "456_789"},
		{post.Facebook, p, "https://www.facebook.com/acme/posts/456?comment_id=789", "100_456"},
		{post.Facebook, c, "https://www.facebook.com/456_789", "456_789"},
		{post.Facebook, c, "https://www.facebook.com/acme/posts/456", "https://www.facebook.com/acme/posts/456"},
		{post.Facebook, p, "https://www.facebook.com/acme/posts/pfbid0abc#x", "https://www.facebook.com/acme/posts/pfbid0abc"},
		{post.Facebook, p, "https://www.facebook.com/", ""},
		{post.Facebook, p, "https://x.com/acme/status/123", ""},
		{post.Instagram, p, "https://www.instagram.com/p/Cabc/", "https://www.instagram.com/p/Cabc/"},
	}
	for _, tt := range tests {
		at := place{platform: tt.platform, role: tt.role, identity: "100"}
		r, ok := at.receiptOf(tt.address, time.Unix(0, 0))
		if ok != (tt.want != "") || r.RemoteID != tt.want {
			t.Errorf("%s of a %s on %s: %q, %v, want %q", tt.address, tt.role, tt.platform, r.RemoteID, ok, tt.want)
		}
	}
}
