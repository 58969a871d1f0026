package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"image/gif"
	"image/jpeg"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func open(tb testing.TB, l Limits) *Files {
	tb.Helper()
	f, err := Open(filepath.Join(tb.TempDir(), "media"), l)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// stored lists the files below the folder, finished or not.
func stored(tb testing.TB, f *Files) []string {
	tb.Helper()
	var found []string
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, strings.TrimPrefix(path, f.dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

func content(tb testing.TB, f *Files, id string) []byte {
	tb.Helper()
	r, err := f.Open(id)
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestPutAccepts(t *testing.T) {
	t.Parallel()
	plain := jpegFile(t, 40, 20)
	tests := map[string]struct {
		file []byte
		want Info // without ID and Bytes
	}{
		"jpeg":                      {plain, Info{Type: TypeJPEG, Width: 40, Height: 20}},
		"jpeg with place":           {jpegWith(plain, exif(binary.LittleEndian, 1)), Info{Type: TypeJPEG, Width: 40, Height: 20}},
		"jpeg upright, Intel":       {jpegWith(plain, exif(binary.LittleEndian, 6)), Info{Type: TypeJPEG, Width: 20, Height: 40}},
		"jpeg upright, Motorola":    {jpegWith(plain, exif(binary.BigEndian, 8)), Info{Type: TypeJPEG, Width: 20, Height: 40}},
		"jpeg upside down":          {jpegWith(plain, exif(binary.BigEndian, 3)), Info{Type: TypeJPEG, Width: 40, Height: 20}},
		"jpeg orientation nonsense": {jpegWith(plain, exif(binary.BigEndian, 99)), Info{Type: TypeJPEG, Width: 40, Height: 20}},
		"jpeg with XMP, IPTC, comment": {
			jpegWith(plain, jpegSegment(0xE1, "http://ns.adobe.com/xap/1.0/\x00"+place), jpegSegment(0xED, place), jpegSegment(0xFE, place)),
			Info{Type: TypeJPEG, Width: 40, Height: 20},
		},
		"jpeg with a second picture": {slices.Concat(plain, []byte(place)), Info{Type: TypeJPEG, Width: 40, Height: 20}},
		"png":                        {pngFile(t, 30, 20), Info{Type: TypePNG, Width: 30, Height: 20}},
		"png 16 bit":                 {deepPNG(t), Info{Type: TypePNG, Width: 3, Height: 2}},
		"png with text and EXIF": {
			slices.Concat(pngWith(pngFile(t, 30, 20), pngChunk("tEXt", "Comment\x00"+place), pngChunk("eXIf", place)), []byte(place)),
			Info{Type: TypePNG, Width: 30, Height: 20},
		},
		"animated png": {
			pngWith(pngFile(t, 30, 20), pngChunk("acTL", "\x00\x00\x00\x01\x00\x00\x00\x00")),
			Info{Type: TypePNG, Width: 30, Height: 20},
		},
		"gif":          {gifFile(t, 10, 20, 1), Info{Type: TypeGIF, Width: 10, Height: 20, Frames: 1}},
		"animated gif": {gifFile(t, 10, 20, 5), Info{Type: TypeGIF, Width: 10, Height: 20, Frames: 5}},
		"gif with comment and script behind": {
			slices.Concat(gifFile(t, 10, 20, 2)[:13], []byte("\x21\xFE\x19"+place+"\x00"), gifFile(t, 10, 20, 2)[13:], []byte(place)),
			Info{Type: TypeGIF, Width: 10, Height: 20, Frames: 2},
		},
		"webp lossless": {webpLossless(), Info{Type: TypeWebP, Width: 1, Height: 1}},
		"webp lossy":    {webpLossy(), Info{Type: TypeWebP, Width: 1, Height: 1}},
		"webp with EXIF": {
			webpExtended(0x08|0x04, 1, 1, riffChunk("EXIF", place), riffChunk("XMP ", place)),
			Info{Type: TypeWebP, Width: 1, Height: 1},
		},
		"mp4":         {film{ms: 1500}.bytes(), Info{Type: TypeMP4, Width: 640, Height: 360, Duration: 1500 * time.Millisecond}},
		"mp4 upright": {film{ms: 1500, upright: true}.bytes(), Info{Type: TypeMP4, Width: 360, Height: 640, Duration: 1500 * time.Millisecond}},
		"mov":         {film{ms: 2000, brand: "qt  "}.bytes(), Info{Type: TypeMOV, Width: 640, Height: 360, Duration: 2 * time.Second}},
		"m4v":         {film{ms: 2000, brand: "M4V "}.bytes(), Info{Type: TypeMP4, Width: 640, Height: 360, Duration: 2 * time.Second}},
		"mp4 in fragments": {
			film{fragment: 3000}.bytes(),
			Info{Type: TypeMP4, Width: 640, Height: 360, Duration: 3 * time.Second},
		},
		"mp4 whose data goes to the end": {
			film{ms: 1000, noData: true, tail: []byte("\x00\x00\x00\x00mdat picture and sound")}.bytes(),
			Info{Type: TypeMP4, Width: 640, Height: 360, Duration: time.Second},
		},
		"mp4 with long sizes": {
			film{ms: 1000, noData: true, tail: []byte("\x00\x00\x00\x01mdat\x00\x00\x00\x00\x00\x00\x00\x14data")}.bytes(),
			Info{Type: TypeMP4, Width: 640, Height: 360, Duration: time.Second},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, Limits{})
			got, err := f.Put(t.Context(), iotest.OneByteReader(bytes.NewReader(tt.file)))
			if err != nil {
				t.Fatalf("Put: %v (%v)", err, errors.Unwrap(err))
			}
			kept := content(t, f, got.ID)
			sum := sha256.Sum256(kept)
			tt.want.ID, tt.want.Bytes = hex.EncodeToString(sum[:]), int64(len(kept))
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("Info (-want +got):\n%s", d)
			}
			if bytes.Contains(kept, []byte(place)) {
				t.Error("the stored file still says where it was taken")
			}
			again, err := f.Put(t.Context(), bytes.NewReader(kept))
			if err != nil {
				t.Fatalf("Put of what was stored: %v", err)
			}
			if d := cmp.Diff(got, again); d != "" {
				t.Errorf("cleaning a clean file changed it (-first +second):\n%s", d)
			}
			stat, err := f.Stat(got.ID)
			if err != nil {
				t.Fatalf("Stat: %v", err)
			}
			if d := cmp.Diff(got, stat); d != "" {
				t.Errorf("Stat (-put +stat):\n%s", d)
			}
			if n := stored(t, f); len(n) != 1 {
				t.Errorf("stored %q, want one file", n)
			}
		})
	}
}

func TestPutRefuses(t *testing.T) {
	t.Parallel()
	small := Limits{ImageBytes: 20_000, VideoBytes: 3000, Pixels: 10_000, GIFFrames: 3, GIFPixels: 500, Duration: time.Minute}
	manyScans := slices.Concat([]byte{0xFF, 0xD8}, bytes.Repeat([]byte{0xFF, 0xDA, 0, 2}, maxScans+1))
	tests := map[string]struct {
		file []byte
		code string
		unit string
	}{
		"nothing":                   {nil, CodeBroken, ""},
		"text":                      {[]byte("hello"), CodeType, ""},
		"svg":                       {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), CodeType, ""},
		"html":                      {[]byte("<!doctype html><script>alert(1)</script>"), CodeType, ""},
		"gif that is a script":      {[]byte("GIF89a=1;/*" + strings.Repeat(" ", 40) + "*/alert(1)"), CodeBroken, ""},
		"pdf":                       {[]byte("%PDF-1.7\n"), CodeType, ""},
		"heic":                      {isoBox("ftyp", []byte("heic"), words(0), []byte("mif1heic")), CodeType, ""},
		"sound":                     {film{ms: 1000, handler: "soun"}.bytes(), CodeType, ""},
		"png of 60000 by 60000":     {pngClaiming(60000, 60000), CodeDimensions, "pixels"},
		"png of no width":           {pngClaiming(0, 10), CodeBroken, ""},
		"png too large":             {pngFile(t, 101, 100), CodeDimensions, "pixels"},
		"png without its data":      {pngClaiming(20, 20), CodeBroken, ""},
		"jpeg of 60000 by 60000":    {slices.Concat([]byte("\xFF\xD8\xFF\xC0\x00\x11\x08\xEA\x60\xEA\x60\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xFF\xDA\x00\x02\xFF\xD9")), CodeDimensions, "pixels"},
		"jpeg without picture":      {[]byte("\xFF\xD8\xFF\xD9"), CodeBroken, ""},
		"jpeg with many scans":      {manyScans, CodeType, ""},
		"gif with many frames":      {gifFile(t, 2, 2, 4), CodeDimensions, "frames"},
		"gif with many pixels":      {gifFile(t, 20, 20, 2), CodeDimensions, "pixels"},
		"webp canvas of other size": {webpExtended(0, 200, 200), CodeBroken, ""},
		"webp animation":            {webpExtended(0x02, 1, 1), CodeType, ""},
		"webp cut off":              {webpLossy()[:30], CodeBroken, ""},
		"film too long":             {film{ms: 61_000}.bytes(), CodeDuration, "seconds"},
		"film of unknown length":    {film{}.bytes(), CodeDuration, ""},
		"film without data":         {film{ms: 1000, noData: true}.bytes(), CodeBroken, ""},
		"film with a box too large": {film{ms: 1000, inMoov: []byte("\x7F\xFF\xFF\xFFmeta")}.bytes(), CodeBroken, ""},
		"film with a tiny box":      {film{ms: 1000, tail: []byte("\x00\x00\x00\x07free")}.bytes(), CodeBroken, ""},
		"film with a negative box":  {film{ms: 1000, tail: []byte("\x00\x00\x00\x01free\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")}.bytes(), CodeBroken, ""},
		"image too heavy":           {slices.Concat(pngFile(t, 10, 10), make([]byte, 20_000)), CodeSize, "bytes"},
		"heavier than a buffer":     {slices.Concat(pngFile(t, 10, 10), make([]byte, 200_000)), CodeSize, "bytes"},
		"film too heavy":            {film{ms: 1000, tail: isoBox("free", make([]byte, 3000))}.bytes(), CodeSize, "bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, small)
			_, err := f.Put(t.Context(), bytes.NewReader(tt.file))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Code != tt.code || e.Unit != tt.unit {
				t.Fatalf("Put = %#v, want code %s in %q", err, tt.code, tt.unit)
			}
			if counted := e.Limit > 0 && e.Used > e.Limit; counted != (tt.unit != "") {
				t.Errorf("limit %d, used %d %s", e.Limit, e.Used, e.Unit)
			}
			if n := stored(t, f); len(n) != 0 {
				t.Errorf("left behind: %q", n)
			}
		})
	}
}

func TestPutRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	for name, file := range map[string][]byte{
		"jpeg": jpegFile(t, 24, 24), "png": pngFile(t, 8, 8), "gif": gifFile(t, 6, 6, 2),
		"webp": webpLossy(), "mp4": film{ms: 1000}.bytes(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := open(t, Limits{})
			for n := 0; n < len(file); n += 1 + n/40 {
				if _, err := f.Put(t.Context(), bytes.NewReader(file[:n])); err == nil {
					t.Errorf("accepted the first %d of %d bytes", n, len(file))
				} else if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("first %d bytes: %v, want an *Error", n, err)
				}
			}
		})
	}
}

func TestPutNeedsDecodablePixels(t *testing.T) {
	t.Parallel()
	file := pngFile(t, 40, 40)
	at := bytes.Index(file, []byte("IDAT")) + 20
	file[at] ^= 0xFF
	_, err := open(t, Limits{}).Put(t.Context(), bytes.NewReader(file))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeBroken {
		t.Errorf("Put of a damaged picture = %v, want %s", err, CodeBroken)
	}
}

// The second pieces of data of a frame hold nonsense, the structure around them is whole.
func TestPutNeedsFramesThatUnpack(t *testing.T) {
	t.Parallel()
	file := gifFile(t, 60, 60, 1)
	data := bytes.Index(file, []byte{0x2C}) + 10 + 3*256 + 1
	for i := range 100 {
		file[data+2+i] = 0xFF
	}
	_, err := open(t, Limits{}).Put(t.Context(), bytes.NewReader(file))
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeBroken {
		t.Errorf("Put of a damaged animation = %v, want %s", err, CodeBroken)
	}
}

func TestCleanedWebPAnnouncesNoMetadata(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	i, err := f.Put(t.Context(), bytes.NewReader(webpExtended(0x0C, 1, 1, riffChunk("EXIF", place), riffChunk("XMP ", place))))
	if err != nil {
		t.Fatal(err)
	}
	kept := content(t, f, i.ID)
	want := webpExtended(0, 1, 1, riffChunk("JUNK", strings.Repeat("\x00", len(place)+1)), riffChunk("JUNK", strings.Repeat("\x00", len(place)+1)))
	binary.LittleEndian.PutUint32(want[len(want)-2*(8+len(place)+1)+4:], uint32(len(place)))
	binary.LittleEndian.PutUint32(want[len(want)-(8+len(place)+1)+4:], uint32(len(place)))
	if d := cmp.Diff(want, kept); d != "" {
		t.Errorf("stored file (-want +got):\n%s", d)
	}
}

func TestCleaningKeepsThePicture(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	plain := jpegFile(t, 40, 20)
	a, err := f.Put(t.Context(), bytes.NewReader(jpegWith(plain, exif(binary.LittleEndian, 6))))
	if err != nil {
		t.Fatal(err)
	}
	kept := content(t, f, a.ID)
	if !bytes.Equal(kept, jpegWith(plain, orientationSegment(6))) {
		t.Error("more than the EXIF segment changed")
	}
	if o := exifOrientation(kept[2+4+len(exifHeader):]); o != 6 {
		t.Errorf("orientation %d, want 6", o)
	}
	if _, err := jpeg.Decode(bytes.NewReader(kept)); err != nil {
		t.Errorf("decode: %v", err)
	}
	b, err := f.Put(t.Context(), bytes.NewReader(gifFile(t, 8, 8, 3)))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gif.DecodeAll(bytes.NewReader(content(t, f, b.ID)))
	if err != nil {
		t.Fatal(err)
	}
	if len(g.Image) != 3 || g.Delay[1] != 10 || g.LoopCount != 0 {
		t.Errorf("animation has %d frames, delay %d, loops %d", len(g.Image), g.Delay[1], g.LoopCount)
	}
}

func TestMetadataInFilmsKeepsItsPlace(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	file := film{ms: 1000}.bytes()
	i, err := f.Put(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	if kept := content(t, f, i.ID); len(kept) != len(file) || bytes.Index(kept, []byte("mdat")) != bytes.Index(file, []byte("mdat")) {
		t.Error("the data of the film moved")
	}
}

func TestConcurrentPutsOfOneContent(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	file := pngFile(t, 64, 64)
	infos := make([]Info, 16)
	var wg sync.WaitGroup
	for i := range infos {
		wg.Go(func() {
			var err error
			if infos[i], err = f.Put(t.Context(), bytes.NewReader(file)); err != nil {
				t.Errorf("Put: %v", err)
			}
		})
	}
	wg.Wait()
	for _, i := range infos {
		if d := cmp.Diff(infos[0], i); d != "" {
			t.Errorf("same content, other Info:\n%s", d)
		}
	}
	if n := stored(t, f); len(n) != 1 {
		t.Errorf("stored %q, want one file", n)
	}
}

// A reader that looks at the folder sees no file before it is whole.
func TestPartialFilesAreNotVisible(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	file := pngFile(t, 200, 200)
	half := true
	r := io.MultiReader(bytes.NewReader(file[:len(file)/2]), readerFunc(func([]byte) (int, error) {
		for _, name := range stored(t, f) {
			if !strings.HasPrefix(name, incoming) {
				half = false
			}
		}
		return 0, io.EOF
	}), bytes.NewReader(file[len(file)/2:]))
	if _, err := f.Put(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if !half {
		t.Error("a file had its name before it was whole")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestErrorsOfTheReaderAreNotTheFiles(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	file := pngFile(t, 300, 300)
	for name, cause := range map[string]error{"own error": errors.New("line is down"), "short body": io.ErrUnexpectedEOF} {
		r := io.MultiReader(bytes.NewReader(file[:len(file)-10]), iotest.ErrReader(cause))
		_, err := f.Put(t.Context(), r)
		if _, ok := errors.AsType[*Error](err); ok || !errors.Is(err, cause) {
			t.Errorf("%s: Put = %v, want %v wrapped", name, err, cause)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := io.MultiReader(bytes.NewReader(file[:100]), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, io.EOF
	}), bytes.NewReader(file[100:]))
	if _, err := f.Put(ctx, iotest.OneByteReader(r)); !errors.Is(err, context.Canceled) {
		t.Errorf("Put after cancel = %v, want %v", err, context.Canceled)
	}
	if n := stored(t, f); len(n) != 0 {
		t.Errorf("left behind: %q", n)
	}
}

func TestFullDiskCanBeTold(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full here")
	}
	defer full.Close()
	f := open(t, Limits{})
	in := &source{r: bytes.NewReader(pngFile(t, 50, 50)), stop: t.Context().Err}
	_, err = f.receive(t.Context(), full, newReader(in), in, TypePNG)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("receive on a full disk = %v, want %v", err, syscall.ENOSPC)
	}
}

func TestOpenSweepsOnlyItsOldTemporaryFiles(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	i, err := f.Put(t.Context(), bytes.NewReader(pngFile(t, 5, 5)))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-25 * time.Hour)
	for name, when := range map[string]time.Time{"put-1.part": old, "put-2.part": time.Now(), "notes.txt": old} {
		path := filepath.Join(f.dir, incoming, name)
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, when, when)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(f.path(i.ID), old, old); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(f.dir, Limits{}); err != nil {
		t.Fatal(err)
	}
	want := []string{f.path(i.ID)[len(f.dir)+1:], filepath.Join(incoming, "notes.txt"), filepath.Join(incoming, "put-2.part")}
	slices.Sort(want)
	if d := cmp.Diff(want, stored(t, f)); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if s, err := os.Stat(f.dir); err != nil || s.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v; want 0700", s.Mode(), err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	i, err := f.Put(t.Context(), bytes.NewReader(pngFile(t, 5, 5)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := f.Remove(i.ID, func() bool { return true }); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	for _, id := range []string{i.ID, "", "..", "../../etc/passwd", strings.Repeat("A", 64), strings.Repeat("/", 64)} {
		if _, err := f.Open(id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Open(%q) = %v, want %v", id, err, fs.ErrNotExist)
		}
		if _, err := f.Stat(id); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Stat(%q) = %v, want %v", id, err, fs.ErrNotExist)
		}
		if err := f.Remove(id, func() bool { return true }); err != nil {
			t.Errorf("Remove(%q) = %v", id, err)
		}
	}
}

func TestAFileIsRemovedOnlyWhileNobodyWritesItDown(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	i, err := f.Put(t.Context(), bytes.NewReader(pngFile(t, 5, 5)))
	if err != nil {
		t.Fatal(err)
	}
	known, removed := make(chan struct{}), make(chan error, 1)
	err = f.Keep(i.ID, func() error {
		go func() {
			removed <- f.Remove(i.ID, func() bool {
				select {
				case <-known:
					return false
				default:
					return true
				}
			})
		}()
		for range 100 { // for whoever does not wait
			runtime.Gosched()
			if _, err := f.Stat(i.ID); err != nil {
				return err
			}
		}
		close(known)
		return nil
	})
	if err := errors.Join(err, <-removed); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stat(i.ID); err != nil {
		t.Errorf("a file that is known: %v", err)
	}
	if err := f.Remove(i.ID, func() bool { return true }); err != nil {
		t.Fatal(err)
	}
	err = f.Keep(i.ID, func() error {
		t.Error("a file that is not there was written down")
		return nil
	})
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Keep = %v, want %v", err, fs.ErrNotExist)
	}
}

func TestWhatNobodyKnowsOfIsSwept(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{})
	put := func(w int) string {
		i, err := f.Put(t.Context(), bytes.NewReader(pngFile(t, w, 5)))
		if err != nil {
			t.Fatal(err)
		}
		return i.ID
	}
	kept, lost, fresh := put(5), put(6), put(7)
	late := time.Now().Add(-time.Hour)
	for _, id := range []string{kept, lost} {
		if err := os.Chtimes(f.path(id), late, late); err != nil {
			t.Fatal(err)
		}
	}
	stranger := filepath.Join(f.dir, "notes.txt")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(stranger, late, late); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the store cannot be read")
	if n, err := f.Sweep(t.Context(), time.Now().Add(-time.Minute), func(string) (bool, error) { return false, broken }); n != 0 || !errors.Is(err, broken) {
		t.Errorf("removed %d, %v; want none, %v", n, err, broken)
	}
	known := func(id string) (bool, error) { return id == kept, nil }
	if n, err := f.Sweep(t.Context(), time.Now().Add(-time.Minute), known); n != 1 || err != nil {
		t.Errorf("removed %d, %v; want 1", n, err)
	}
	for _, id := range []string{kept, fresh} {
		if _, err := f.Stat(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	if _, err := f.Stat(lost); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what nobody knows of: %v", err)
	}
	if _, err := os.Stat(stranger); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
}

// Damaged files give an answer or an *Error, whatever is damaged.
func TestRandomDamageIsNeverAnotherError(t *testing.T) {
	t.Parallel()
	f := open(t, Limits{Pixels: 1_000_000})
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, file := range corpus(t) {
		for range 60 {
			bad := slices.Clone(file)
			for range 1 + rnd.IntN(4) {
				bad[rnd.IntN(len(bad))] = byte(rnd.Uint32())
			}
			if _, err := f.Put(t.Context(), bytes.NewReader(bad)); err != nil {
				if _, ok := errors.AsType[*Error](err); !ok {
					t.Errorf("Put = %v, want an *Error", err)
				}
			}
		}
	}
}

func corpus(tb testing.TB) [][]byte {
	tb.Helper()
	return [][]byte{
		jpegFile(tb, 24, 16), jpegWith(jpegFile(tb, 8, 8), exif(binary.BigEndian, 6)), pngFile(tb, 16, 16), deepPNG(tb),
		gifFile(tb, 8, 8, 2), webpLossless(), webpLossy(), webpExtended(0x0C, 1, 1, riffChunk("EXIF", "x")),
		film{ms: 1000}.bytes(), film{fragment: 1000, brand: "qt  "}.bytes(),
	}
}

// FuzzProbe feeds anything to the walkers and decoders: nothing may panic, and what was accepted must be accepted
// again, unchanged.
func FuzzProbe(f *testing.F) {
	for _, file := range corpus(f) {
		f.Add(file)
	}
	limits := Limits{Pixels: 250_000, GIFPixels: 1_000_000}.withDefaults()
	f.Fuzz(func(t *testing.T, file []byte) {
		first, s, err := clean(file, limits)
		if err != nil {
			return
		}
		second, again, err := clean(first, limits)
		if err != nil || s != again || !bytes.Equal(first, second) {
			t.Fatalf("cleaning twice: %+v then %+v, %v", s, again, err)
		}
		if seen, err := inspect(bytes.NewReader(first), limits); err != nil || seen != s {
			t.Fatalf("inspect: %+v, want %+v, %v", seen, s, err)
		}
	})
}
