package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/carrot-router/carrot/internal/database"
)

// Backup writes a copy of the store, as it is at this moment, to a file of SQLite that does
// not exist. Gateways may use the store meanwhile.
func (s *Store) Backup(ctx context.Context, path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("backup to %s: %w", path, err)
		}
	}()
	if database.IsPostgres(path) {
		return errors.New("want the path of a file")
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, fs.ErrExist)
	}
	if s.db.Postgres() {
		err = s.copyTo(ctx, path)
	} else if _, err = s.db.ExecContext(ctx, "VACUUM INTO ?", path); err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		for _, name := range []string{path, path + "-wal", path + "-shm"} {
			if e := os.Remove(name); !errors.Is(e, fs.ErrNotExist) {
				err = errors.Join(err, e)
			}
		}
	}
	return err
}

// copyTo makes a store with the rows of this one.
func (s *Store) copyTo(ctx context.Context, path string) error {
	to, err := database.Make(ctx, path)
	if err != nil {
		return err
	}
	return errors.Join(database.Copy(ctx, to, s.db), to.Close())
}

// Restore copies a backup to an empty store. The position of the journal of the gateway
// that wrote it is copied too: with the same journal, the gateway adds what the backup
// lacks and the journal still has.
func (s *Store) Restore(ctx context.Context, path string) error {
	if database.IsPostgres(path) {
		return errors.New("restore: want the path of a backup")
	}
	from, err := database.Open(ctx, path)
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	if err := errors.Join(database.Copy(ctx, s.db, from), from.Close()); err != nil {
		return fmt.Errorf("restore %s to %s: %w", path, s.db, err)
	}
	return nil
}
