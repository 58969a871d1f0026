package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"crier/internal/app"
	"crier/internal/client"
	"crier/store/bolt"
)

func (c *cli) backupCommand() *cobra.Command {
	var media bool
	cmd := &cobra.Command{
		Use:   "backup <file>",
		Short: "Copy the store, whether the daemon runs or not",
		Long: `Copy the store to a new file and check the copy. The daemon may run meanwhile. With --media the file is an archive
that holds the media as well. The master key is never in it: keep a copy of master.key apart.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			dir, err := c.dataDir()
			if err != nil {
				return err
			}
			if media {
				err = c.backupAll(cmd.Context(), dir, path)
			} else {
				err = c.backupStore(cmd.Context(), dir, path)
			}
			if err != nil {
				return err
			}
			return c.say("%s", path)
		},
	}
	cmd.Flags().BoolVar(&media, "media", false, "put the media into it as well")
	return cmd
}

// backupStore copies the store: through the daemon, which has it locked, or by itself when none runs.
func (c *cli) backupStore(ctx context.Context, dir, path string) error {
	api, err := client.New(client.Options{Socket: filepath.Join(dir, app.SocketName)})
	if err != nil {
		return err
	}
	defer api.Close()
	err = api.Backup(ctx, path)
	if e, ok := errors.AsType[*client.UnreachableError](err); !ok || e.Sent {
		return err
	}
	s, err := bolt.Open(ctx, bolt.Options{Dir: dir, Now: time.Now()})
	if err != nil {
		return err
	}
	return errors.Join(s.Backup(ctx, path), s.Close())
}

// backupAll makes an archive of store and media. The store is copied first: media that come later are not in it.
func (c *cli) backupAll(ctx context.Context, dir, path string) error {
	copied := path + ".store"
	if err := c.backupStore(ctx, dir, copied); err != nil {
		return err
	}
	err := writeArchive(ctx, path, copied, filepath.Join(dir, "media"))
	if err := errors.Join(err, os.Remove(copied)); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	return nil
}
