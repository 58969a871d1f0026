package bolt

import (
	"os"

	"golang.org/x/sys/unix"
)

// homeOf says where the file is at home. Where the file system does not say when a file was made, its inodes are not
// taken for lasting either: those of some network and container file systems change with every mount.
func homeOf(path string) home {
	h := home{Machine: machineUnder("/", os.Getenv)}
	var st unix.Statx_t
	err := unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_INO|unix.STATX_BTIME, &st)
	if err == nil && st.Mask&unix.STATX_BTIME != 0 && st.Btime.Sec != 0 {
		h.Inode, h.Born = st.Ino, st.Btime.Sec*1e9+int64(st.Btime.Nsec)
	}
	return h
}
