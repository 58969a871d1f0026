package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/secret"
	"crier/store/bolt"
)

func (c *cli) restoreCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "restore <file>",
		Short: "Put a backup in the place of the store, with every queue held",
		Long: `Put a backup in the place of the store. The daemon must not run; the old store is kept beside the new one. What the
backup believes to be queued may be out since, so every account is held until a person has looked: crier account resume.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := c.dataDir()
			if err != nil {
				return err
			}
			media, err := restore(cmd.Context(), dir, args[0])
			if err != nil {
				return hintLocked(err)
			}
			if _, err := os.Stat(filepath.Join(dir, secret.KeyFile)); errors.Is(err, fs.ErrNotExist) {
				note(c.err, "%s is missing: put the one of the old machine there before you start the daemon", filepath.Join(dir, secret.KeyFile))
			}
			return c.say("restored, %d media. Every account is held: look what is out, then crier account resume.", media)
		},
	}
}

// restore puts a store, or an archive of store and media, into a data folder.
func restore(ctx context.Context, dir, from string) (media int, err error) {
	archive, err := isArchive(from)
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	if !archive {
		return 0, bolt.Restore(ctx, dir, from, time.Now())
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	unpacked, err := os.CreateTemp(dir, "restore-*.tmp")
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	media, err = readArchive(ctx, from, unpacked, filepath.Join(dir, "media"))
	if err != nil {
		err = fmt.Errorf("restore: %w", err)
	}
	if err = errors.Join(err, unpacked.Close()); err == nil {
		err = bolt.Restore(ctx, dir, unpacked.Name(), time.Now())
	}
	return media, errors.Join(err, os.Remove(unpacked.Name()))
}

// hintLocked says what a locked store means.
func hintLocked(err error) error {
	if errors.Is(err, bolt.ErrLocked) {
		return fmt.Errorf("%w: stop the daemon first", err)
	}
	return err
}
