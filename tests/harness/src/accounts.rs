//! Decentralised authentication made for one test: an operator, its accounts, and users with JWTs
//! and nkeys.
//!
//! The invariant: whatever [`Operator::server_config`] has said, a server that runs with the newest
//! text admits every user that was made here and has neither expired nor been revoked. There is one
//! account for users, with JetStream without limits unless it is given [tiers](Operator::tiers),
//! besides the system account that servers demand; there are no signing keys and no imports.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use nkeys::KeyPair;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha512_256};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An operator with its accounts: what a server trusts.
pub struct Operator {
    key: KeyPair,
    /// Signed once: a server that is to reload wants to see the same one again.
    token: String,
    system: Account,
    account: Account,
}

struct Account {
    name: &'static str,
    key: KeyPair,
    jetstream: bool,
    tiers: Vec<Tier>,
    /// From which time on tokens of a user are valid again.
    revocations: Map<String, Value>,
}

/// What a user's token says. By default, a user without a name that may do everything, for ever.
#[derive(Debug, Clone, Default)]
pub struct UserClaims {
    /// The user's name, which only people read.
    pub name: String,
    /// When the token expires; to the second.
    pub expires: Option<SystemTime>,
    /// This many bytes of tags, which make the token longer by a third more than that. For a token
    /// longer than 4 KB a server needs a longer `max_control_line` than the default one.
    pub padding: usize,
    /// The subjects that the user may publish to. Empty: all.
    pub publish_allow: Vec<String>,
    /// The subjects that the user may not publish to.
    pub publish_deny: Vec<String>,
    /// The subjects that the user may subscribe to. Empty: all.
    pub subscribe_allow: Vec<String>,
    /// The subjects that the user may not subscribe to.
    pub subscribe_deny: Vec<String>,
}

/// How much of JetStream an account may use with one number of replicas; −1: without a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tier {
    /// The number of replicas, as `R1`.
    pub name: &'static str,
    /// The memory, in bytes.
    pub memory: i64,
    /// The file storage, in bytes.
    pub storage: i64,
    /// The number of streams.
    pub streams: i64,
    /// The number of consumers.
    pub consumers: i64,
}

/// A user: a token, and the seed of the key that it is for.
#[derive(Clone)]
pub struct User {
    /// The token.
    pub jwt: String,
    /// The seed, `SU…`.
    pub seed: String,
    /// The public key, `U…`.
    pub public_key: String,
}

impl Operator {
    /// An operator with an account, with new keys.
    #[must_use]
    pub fn new() -> Operator {
        let account = |name, jetstream| Account {
            name,
            key: KeyPair::new_account(),
            jetstream,
            tiers: Vec::new(),
            revocations: Map::new(),
        };
        let key = KeyPair::new_operator();
        let claims = json!({ "type": "operator", "version": 2 });
        let token = token(&key, &key, "operator", None, claims);
        Operator { key, token, system: account("SYS", false), account: account("app", true) }
    }

    /// Has the users' account have these limits of JetStream, and none beside them.
    #[must_use]
    pub fn tiers(mut self, tiers: impl IntoIterator<Item = Tier>) -> Operator {
        self.account.tiers.extend(tiers);
        self
    }

    /// The text for [`Builder::config`](crate::Builder::config) that makes a server trust this
    /// operator.
    #[must_use]
    pub fn server_config(&self) -> String {
        let operator = &self.token;
        let accounts = [&self.system, &self.account].map(|account| {
            format!("  {}: \"{}\"\n", account.key.public_key(), account.token(&self.key))
        });
        format!(
            "operator: \"{operator}\"\nsystem_account: {}\nresolver: MEMORY\n\
             resolver_preload {{\n{}}}\n",
            self.system.key.public_key(),
            accounts.concat()
        )
    }

    /// The public key of the users' account, which is the account's name in a server.
    #[must_use]
    pub fn account(&self) -> String {
        self.account.key.public_key()
    }

    /// Makes a user. A server need not be told of it.
    #[must_use]
    pub fn user(&self, claims: UserClaims) -> User {
        self.account.user(&claims)
    }

    /// Makes a user of the system account, who sees `$SYS.>`.
    #[must_use]
    pub fn system_user(&self) -> User {
        self.system.user(&UserClaims { name: "system".to_owned(), ..UserClaims::default() })
    }

    /// Revokes all tokens of the user up to now. Returns the new configuration, which the server
    /// has to be given with [`Server::reload`](crate::Server::reload).
    #[must_use = "the server has to be told"]
    pub fn revoke(&mut self, user: &User) -> String {
        let now = seconds(SystemTime::now());
        self.account.revocations.insert(user.public_key.clone(), now.into());
        self.server_config()
    }
}

impl Default for Operator {
    fn default() -> Operator {
        Operator::new()
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator")
            .field("key", &self.key.public_key())
            .field("account", &self.account())
            .finish_non_exhaustive()
    }
}

impl Account {
    fn token(&self, operator: &KeyPair) -> String {
        // a server takes limits with tiers or without, and not both
        let storage = if self.jetstream && self.tiers.is_empty() { -1 } else { 0 };
        let tiers = self.tiers.iter().map(|tier| {
            let limits = json!({
                "mem_storage": tier.memory, "disk_storage": tier.storage, "streams": tier.streams,
                "consumer": tier.consumers,
            });
            (tier.name.to_owned(), limits)
        });
        let claims = json!({
            "limits": {
                "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1,
                "wildcards": true, "conn": -1, "leaf": -1, "mem_storage": storage,
                "disk_storage": storage, "streams": storage, "consumer": storage,
                "tiered_limits": Value::Object(tiers.collect()),
            },
            "revocations": self.revocations,
            "type": "account",
            "version": 2,
        });
        token(operator, &self.key, self.name, None, claims)
    }

    fn user(&self, claims: &UserClaims) -> User {
        let key = KeyPair::new_user();
        // an empty list allows nothing, none at all allows everything
        let permissions = |allow: &[String], deny: &[String]| {
            let lists = [("allow", allow), ("deny", deny)];
            let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
            Value::Object(lists.map(|(name, list)| (name.to_owned(), json!(list))).collect())
        };
        let nats = json!({
            "pub": permissions(&claims.publish_allow, &claims.publish_deny),
            "sub": permissions(&claims.subscribe_allow, &claims.subscribe_deny),
            "subs": -1,
            "data": -1,
            "payload": -1,
            "tags": tags(claims.padding),
            "type": "user",
            "version": 2,
        });
        User {
            jwt: token(&self.key, &key, &claims.name, claims.expires, nats),
            seed: key.seed().expect("the seed of a new key"),
            public_key: key.public_key(),
        }
    }
}

impl User {
    /// The text of a credentials file.
    #[must_use]
    pub fn creds_text(&self) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n\n\
             *************************************************************\n",
            self.jwt, self.seed
        )
    }
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("public_key", &self.public_key).finish_non_exhaustive()
    }
}

/// A new key for a user without a token: the public key, for `authorization { users [ { nkey: … } ] }`,
/// and the seed.
///
/// # Panics
/// When the system has no randomness to make a key of.
#[must_use]
pub fn nkey_user() -> (String, String) {
    let key = KeyPair::new_user();
    (key.public_key(), key.seed().expect("the seed of a new key"))
}

/// A signed JWT about `subject`.
fn token(
    issuer: &KeyPair,
    subject: &KeyPair,
    name: &str,
    expires: Option<SystemTime>,
    nats: Value,
) -> String {
    let mut claims = json!({
        "iss": issuer.public_key(),
        "sub": subject.public_key(),
        "name": name,
        "iat": seconds(SystemTime::now()),
        "nats": nats,
    });
    if let Some(expires) = expires {
        claims["exp"] = seconds(expires).into();
    }
    // the id is a digest of the claims without it
    claims["jti"] = BASE32_NOPAD.encode(&Sha512_256::digest(claims.to_string())).into();
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let encode = |part: &Value| BASE64URL_NOPAD.encode(part.to_string().as_bytes());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer.sign(signed.as_bytes()).expect("a signature by a key with a seed");
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// Tags of so many bytes in all.
fn tags(padding: usize) -> Vec<String> {
    const LONGEST: usize = 100;
    let lengths = (0..padding).step_by(LONGEST).map(|start| LONGEST.min(padding - start));
    lengths.map(|length| "x".repeat(length)).collect()
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs()
}
