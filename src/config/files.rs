//! The files a config consists of: read within bounds, and remembered with their content for reloads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::load::MAX_BYTES;

/// At most this many files match one pattern.
const MAX_MATCHES: usize = 1_000;

/// Everything a config was read from: when its [`fingerprint`] changes, it is time to reload.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watched {
    /// The config's folder: files below it are the same whatever it is called, so that replicas with equal configs in
    /// different places have equal fingerprints.
    pub base: PathBuf,
    /// The config, secrets and certificates, also those that could not be read.
    pub files: Vec<PathBuf>,
    /// Patterns of template files; a new match is a change too.
    pub globs: Vec<String>,
}

/// A hash (16 hexadecimal digits) of the contents of everything watched; links are followed, so that a Kubernetes
/// ConfigMap that swaps its `..data` link is noticed. Files that can not be read count as such. Blocks on I/O.
pub fn fingerprint(watched: &Watched) -> String {
    let mut paths: BTreeSet<PathBuf> = watched.files.iter().cloned().collect();
    for pattern in &watched.globs {
        paths.extend(matches(pattern).unwrap_or_default());
    }
    hash(&watched.base, paths.iter().map(|path| (path.as_path(), digest(&read(path)))))
}

type ContentHash = [u8; 32];

fn digest(content: &Result<Vec<u8>, String>) -> ContentHash {
    let mut hash = Sha256::new();
    match content {
        Ok(bytes) => {
            hash.update([1]);
            hash.update(bytes);
        }
        Err(_) => hash.update([0]),
    }
    hash.finalize().into()
}

fn hash<'a>(base: &Path, contents: impl Iterator<Item = (&'a Path, ContentHash)>) -> String {
    let mut hash = Sha256::new();
    for (path, content) in contents {
        hash.update(path.strip_prefix(base).unwrap_or(path).as_os_str().as_encoded_bytes());
        hash.update([0]);
        hash.update(content);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a regular file of at most [`MAX_BYTES`].
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_owned(),
        std::io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    };
    // A pipe or a device could block for ever.
    let kind = std::fs::metadata(path).map_err(io)?;
    if kind.is_dir() {
        return Err("it is a directory".to_owned());
    }
    if !kind.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    Ok(bytes)
}

fn matches(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let found = glob::glob(pattern).map_err(|error| error.msg.to_owned())?;
    let files: Vec<PathBuf> = found.flatten().filter(|path| !path.is_dir()).take(MAX_MATCHES + 1).collect();
    if files.len() > MAX_MATCHES { Err(format!("more than {MAX_MATCHES} files match")) } else { Ok(files) }
}

/// The bytes as text.
pub(super) fn as_text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Reads a config's files, and remembers them.
pub(super) struct Files {
    base: PathBuf,
    read: BTreeMap<PathBuf, ContentHash>,
    globs: BTreeSet<String>,
}

impl Files {
    /// Relative paths begin at `base`.
    pub(super) fn new(base: &Path) -> Self {
        Self { base: base.to_owned(), read: BTreeMap::new(), globs: BTreeSet::new() }
    }

    /// Reads a file; the error says why not, without the path.
    pub(super) fn read(&mut self, path: &str) -> Result<Vec<u8>, String> {
        self.read_match(self.base.join(path))
    }

    /// Like [`Files::read`], for a path that [`Files::matches`] found.
    pub(super) fn read_match(&mut self, path: PathBuf) -> Result<Vec<u8>, String> {
        let content = read(&path);
        self.read.insert(path, digest(&content));
        content
    }

    /// Like [`Files::read`], for text.
    pub(super) fn read_text(&mut self, path: &str) -> Result<String, String> {
        as_text(self.read(path)?)
    }

    /// Counts a text that came from elsewhere as one of the files.
    pub(super) fn note(&mut self, name: &str, text: &str) {
        self.read.insert(self.base.join(name), digest(&Ok(text.as_bytes().to_vec())));
    }

    /// The files that match a pattern, sorted.
    pub(super) fn matches(&mut self, pattern: &str) -> Result<Vec<PathBuf>, String> {
        // The folder's own name may hold characters that mean something in a pattern.
        let base = glob::Pattern::escape(&self.base.to_string_lossy());
        let full = Path::new(&base).join(pattern).to_string_lossy().into_owned();
        let found = matches(&full)?;
        self.globs.insert(full);
        Ok(found)
    }

    pub(super) fn finish(self) -> (Watched, String) {
        let hash = hash(&self.base, self.read.iter().map(|(path, content)| (path.as_path(), *content)));
        let (files, globs) = (self.read.into_keys().collect(), self.globs.into_iter().collect());
        (Watched { base: self.base, files, globs }, hash)
    }
}
