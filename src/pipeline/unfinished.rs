//! Outputs that are not complete: when the process is told to stop, they go, and none gets its name any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// What a panic of another thread left is still a list of paths.
fn paths() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    PATHS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The entry of one file or folder; it ends with this.
pub(super) struct Unfinished(PathBuf);

impl Unfinished {
    /// Makes a file or folder, and enters it.
    pub(super) fn create<T>(
        make: impl FnOnce() -> std::io::Result<T>,
        path: impl FnOnce(&T) -> &Path,
    ) -> std::io::Result<(T, Unfinished)> {
        let mut paths = paths();
        let made = make()?;
        let path = path(&made).to_owned();
        paths.insert(path.clone());
        Ok((made, Unfinished(path)))
    }

    /// Gives it its final name by `place`, unless the process is being stopped.
    pub(super) fn complete<T>(self, place: impl FnOnce() -> T) -> T {
        let mut paths = paths();
        let placed = place();
        paths.remove(&self.0);
        drop(paths);
        placed
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        paths().remove(&self.0);
    }
}

/// Removes every output that is not complete, and says how many there were. For a process that is about to exit: from
/// now on, whoever makes or completes an output waits for ever.
pub fn discard_unfinished() -> usize {
    let paths = paths();
    for path in paths.iter() {
        // There is nobody left to tell that it can't be removed.
        drop(if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) });
    }
    let count = paths.len();
    std::mem::forget(paths);
    count
}
