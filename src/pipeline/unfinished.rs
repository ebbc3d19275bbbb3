//! Outputs that are not complete: when the process is told to stop, they go, and none gets its name any more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

static PATHS: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Folders that were made for outputs, each in front of the one it is in.
static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

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

fn folders() -> MutexGuard<'static, Vec<PathBuf>> {
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Folders that were made for outputs: those that are still empty when this ends go with it.
pub(super) struct MadeFolders(Vec<PathBuf>);

impl MadeFolders {
    /// Makes a folder, and those it is in, where they aren't there yet.
    pub(super) fn create(path: &Path) -> std::io::Result<MadeFolders> {
        let is_new = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let made = MadeFolders(path.ancestors().take_while(is_new).map(Path::to_owned).collect());
        folders().extend_from_slice(&made.0);
        std::fs::create_dir_all(path)?;
        Ok(made)
    }

    /// They stay, whatever is in them.
    pub(super) fn keep(mut self) {
        let made = std::mem::take(&mut self.0);
        folders().retain(|folder| !made.contains(folder));
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        folders().retain(|folder| !self.0.contains(folder));
        remove_empty(&self.0);
    }
}

fn remove_empty(folders: &[PathBuf]) {
    // One with something in it is not removed, and is not to be.
    folders.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
}

/// Removes every output that is not complete, and says how many there were. For a process that is about to exit: from
/// now on, whoever makes or completes an output waits for ever.
pub fn discard_unfinished() -> usize {
    let paths = paths();
    for path in paths.iter() {
        // There is nobody left to tell that it can't be removed.
        drop(if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) });
    }
    remove_empty(&folders());
    let count = paths.len();
    std::mem::forget(paths);
    count
}
