//! Basic auth in the spirit of Prometheus' exporter-toolkit: bcrypt hashes, no oracle for user names, results cached.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::str::FromStr as _;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, Method, header};
use sha2::Sha256;

use super::error::{ErrorKind, HttpError};
use crate::model::Secret;

/// Results remembered, of each kind.
const CACHED: usize = 1024;
/// A check at cost 10 takes about 70 ms, and each further one doubles it.
const COSTS: std::ops::RangeInclusive<u32> = 4..=16;
/// Behind its cost: salt and hash that no password is known for.
const DUMMY: &str = "QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// The users of `--web.config.file`, checked.
#[derive(Clone, Default)]
pub struct Users {
    hashes: BTreeMap<String, String>,
    /// What a password is compared with for users that do not exist: as costly as the costliest user.
    dummy: String,
}

/// Names only: hashes are not for logs.
impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.hashes.keys()).finish()
    }
}

/// Why a user can not be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("user {user:?}: {message}")]
pub struct UsersError {
    /// The user's name.
    pub user: String,
    /// What is wrong.
    pub message: &'static str,
}

impl Users {
    /// Checks names and bcrypt hashes (`$2a$`, `$2b$`, `$2y$`).
    ///
    /// # Errors
    /// A name that is empty or holds a colon (Basic auth splits there), a value that is not a bcrypt hash, or a cost
    /// outside 4 to 16.
    pub fn build(hashes: BTreeMap<String, String>) -> Result<Self, UsersError> {
        let mut most = *COSTS.start();
        for (user, hash) in &hashes {
            let fail = |message| Err(UsersError { user: user.clone(), message });
            if user.is_empty() || user.contains(':') {
                return fail("a user name must not be empty or hold a colon");
            }
            match bcrypt::HashParts::from_str(hash) {
                Err(_) => return fail("not a bcrypt hash; make one with: htpasswd -nBC 10 \"\" | tr -d ':\\n'"),
                Ok(parts) if !COSTS.contains(&parts.get_cost()) => {
                    return fail("the cost of its hash is not between 4 and 16");
                }
                Ok(parts) => most = most.max(parts.get_cost()),
            }
        }
        Ok(Self { hashes, dummy: format!("$2b${most:02}${DUMMY}") })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

type Digest = [u8; 32];

/// Checks logins. `None` users let everybody in; a reload swaps them.
pub struct Auth {
    users: Arc<ArcSwap<Option<Users>>>,
    /// Of this process alone, so that remembered digests are worth nothing elsewhere.
    key: Secret,
    cache: Mutex<[HashMap<Digest, ()>; 2]>,
    /// One bcrypt at a time: guessing can not take all cores.
    turn: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("users", &self.users.load()).finish_non_exhaustive()
    }
}

impl Auth {
    /// Checks against these users, whichever they are at the time.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn new(users: Arc<ArcSwap<Option<Users>>>) -> std::io::Result<Self> {
        let mut key = [0_u8; 32];
        getrandom::fill(&mut key).map_err(|error| std::io::Error::other(error.to_string()))?;
        Ok(Self { users, key: Secret::new(STANDARD.encode(key)), cache: Mutex::default(), turn: Default::default() })
    }

    /// Whether the request may pass.
    async fn allows(&self, headers: &HeaderMap) -> bool {
        let users = self.users.load_full();
        let Some(users) = users.as_ref().as_ref().filter(|users| !users.is_empty()) else { return true };
        let Some((user, password)) = credentials(headers) else { return false };
        let (hash, known) = match users.hashes.get(&user) {
            Some(hash) => (hash.clone(), true),
            None => (users.dummy.clone(), false),
        };
        let Some(digest) = self.digest(&user, &hash, &password) else { return false };
        if let Some(seen) = self.seen(&digest) {
            return seen && known;
        }
        let _turn = self.turn.lock().await;
        // Somebody with the same password may have been before us.
        if let Some(seen) = self.seen(&digest) {
            return seen && known;
        }
        let checked = tokio::task::spawn_blocking(move || bcrypt::verify(password.expose(), &hash)).await;
        let right = matches!(checked, Ok(Ok(true))) && known;
        self.remember(digest, right);
        right
    }

    /// A keyed digest of all that the result depends on; its length prefixes keep the parts apart.
    fn digest(&self, user: &str, hash: &str, password: &Secret) -> Option<Digest> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.key.expose().as_bytes()).ok()?;
        for part in [user, hash, password.expose()] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        Some(mac.finalize().into_bytes().into())
    }

    fn seen(&self, digest: &Digest) -> Option<bool> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        let [wrong, right] = &*cache;
        if right.contains_key(digest) { Some(true) } else { wrong.get(digest).map(|()| false) }
    }

    fn remember(&self, digest: Digest, right: bool) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // Kept apart, so that guesses do not push out those who know their password.
        let [wrong_ones, right_ones] = &mut *cache;
        let of_its_kind = if right { right_ones } else { wrong_ones };
        if of_its_kind.len() >= CACHED {
            of_its_kind.clear();
        }
        of_its_kind.insert(digest, ());
    }
}

fn credentials(headers: &HeaderMap) -> Option<(String, Secret)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// The login in front of the routes below a prefix.
pub(super) struct Guard {
    pub(super) auth: Arc<Auth>,
    pub(super) prefix: Box<str>,
}

/// Everything is protected but `/m/{id}`: whoever got the message may read its page, and nobody can guess it.
pub(super) async fn check(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let page = request.uri().path().strip_prefix(&*guard.prefix).and_then(|path| path.strip_prefix("/m/"));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let open = reads && page.is_some_and(|id| !id.is_empty() && !id.contains('/'));
    if open || guard.auth.allows(request.headers()).await {
        return next.run(request).await;
    }
    HttpError::new(ErrorKind::Unauthorized, "a user name and password are needed").into_response()
}
