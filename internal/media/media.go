// Package media keeps the pictures and videos that posts carry: files named by the SHA-256 of what they hold, looked
// into before they are kept, and, when a person gives an address instead of a file, fetched through a guard that
// never reaches into the operator's own network.
//
// Nothing here believes what a client says about a file. The type comes from its bytes, the whole structure is walked
// once on the way to disk, pictures must decode to their end, and what is not picture or sound (EXIF with its place of
// taking, XMP, comments, bytes after the end) is left out of the stored copy without touching the picture itself.
package media

import (
	"math"
	"time"
)

// The types that are accepted, and no other; SVG and HTML can carry scripts and are refused like everything else.
const (
	TypeJPEG = "image/jpeg"
	TypePNG  = "image/png"
	TypeGIF  = "image/gif"
	TypeWebP = "image/webp"
	TypeMP4  = "video/mp4"
	TypeMOV  = "video/quicktime"
)

// Info says what a stored file is.
type Info struct {
	// ID is the SHA-256 of the stored bytes, 64 lower-case hexadecimal digits.
	ID string
	// Type is one of the Type constants.
	Type string
	// Bytes is the size of the stored file, which can be smaller than what was sent.
	Bytes int64
	// Width and Height are in pixels and as seen: a picture or video that is stored lying down and marked to be shown
	// upright counts as upright.
	Width, Height int
	// Duration is that of a video; zero for pictures, animated ones too.
	Duration time.Duration
	// Frames is the number of pictures in a GIF; zero for all other types.
	Frames int
}

// Limits bounds what is accepted. A zero field stands for its default.
type Limits struct {
	// ImageBytes bounds the size of a picture as sent; default 32 MiB.
	ImageBytes int64
	// VideoBytes bounds the size of a video as sent; default 4 GiB.
	VideoBytes int64
	// Pixels bounds width times height of a picture; default 100 million. Whatever it says, a picture that would
	// take more than 512 MiB to decode is refused: one is decoded at a time.
	Pixels int64
	// GIFFrames bounds the pictures of an animation; default 1000.
	GIFFrames int
	// GIFPixels bounds the pixels of all pictures of an animation together; default 300 million, as on X
	// (https://docs.x.com/x-api/media/quickstart/best-practices).
	GIFPixels int64
	// Duration bounds a video; default 12 hours, as on YouTube (https://support.google.com/youtube/answer/71673).
	Duration time.Duration
}

func (l Limits) withDefaults() Limits {
	or := func(v *int64, def int64) {
		if *v <= 0 {
			*v = def
		}
	}
	or(&l.ImageBytes, 32<<20)
	or(&l.VideoBytes, 4<<30)
	or(&l.Pixels, 100_000_000)
	or(&l.GIFPixels, 300_000_000)
	if l.GIFFrames <= 0 {
		l.GIFFrames = 1000
	}
	if l.Duration <= 0 {
		l.Duration = 12 * time.Hour
	}
	return l
}

// bytes is the size limit of one type.
func (l Limits) bytes(typ string) int64 {
	if typ == TypeMP4 || typ == TypeMOV {
		return l.VideoBytes
	}
	return l.ImageBytes
}

// The codes of an Error: the problem codes of the API.
const (
	// CodeType is a file of a type, or in a variant of a type, that is not accepted.
	CodeType = "media_type"
	// CodeSize is a file with too many bytes.
	CodeSize = "media_size"
	// CodeDimensions is a picture with too many pixels or an animation with too many pictures.
	CodeDimensions = "media_dimensions"
	// CodeDuration is a video that is too long, or does not say how long it is.
	CodeDuration = "media_duration"
	// CodeBroken is a file that is cut off or contradicts itself.
	CodeBroken = "media_broken"
	// CodeFetchRefused is an address that may not be fetched; all such addresses get the same message.
	CodeFetchRefused = "fetch_refused"
	// CodeFetchFailed is an address that may be fetched but did not hand over a file.
	CodeFetchFailed = "fetch_failed"
)

// Error is a refusal that the sender of a file can understand and act on. Its message holds nothing of what was sent,
// so it can be shown as it is. Every other error of this package is a trouble of our own: a full disk can be told by
// errors.Is(err, syscall.ENOSPC).
type Error struct {
	Code    string
	Message string
	// Limit and Used are in Unit ("bytes", "pixels", "frames", "seconds"); all three are zero where nothing is counted.
	// When reading stopped at the limit, Used is what had been read by then.
	Limit, Used int64
	Unit        string

	cause error
}

// Error returns the message for the person who sent the file.
func (e *Error) Error() string { return e.Message }

// Unwrap returns what was underneath, if anything. It may name addresses and is not meant for the sender.
func (e *Error) Unwrap() error { return e.cause }

func broken(what string) error {
	return &Error{Code: CodeBroken, Message: "the file is broken: " + what}
}

func wrongType(what string) error {
	return &Error{Code: CodeType, Message: what + "; accepted are JPEG, PNG, GIF, WebP, MP4 and MOV"}
}

func over(code, message string, limit, used int64, unit string) error {
	return &Error{Code: code, Message: message, Limit: limit, Used: used, Unit: unit}
}

// unlimited are limits that nothing reaches that was ever accepted.
func unlimited() Limits {
	return Limits{
		ImageBytes: math.MaxInt64, VideoBytes: math.MaxInt64, Pixels: math.MaxInt64,
		GIFFrames: math.MaxInt, GIFPixels: math.MaxInt64, Duration: math.MaxInt64,
	}
}
