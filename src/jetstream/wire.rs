//! What the types on the wire have in common: how JetStream writes what is not set, members that this
//! version does not know, and setters for every member.

use serde::de::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// Decodes `null` like an absent member. Go servers write empty lists and maps that way.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Decodes a limit: −1, 0 and absence all mean unlimited.
pub(crate) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let limit = Option::<i64>::deserialize(deserializer)?;
    Ok(limit.and_then(|limit| u64::try_from(limit).ok()).filter(|limit| *limit > 0))
}

/// Decodes a limit of an account: any negative number and absence mean unlimited, and 0 is 0.
pub(crate) fn account_limit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let limit = Option::<i64>::deserialize(deserializer)?;
    Ok(limit.and_then(|limit| u64::try_from(limit).ok()))
}

/// Decodes a number that is not set if it is 0.
pub(crate) fn non_zero<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    Ok(Option::<u64>::deserialize(deserializer)?.filter(|number| *number > 0))
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

pub(crate) fn remove_server_metadata(metadata: &mut BTreeMap<String, String>) {
    metadata.retain(|key, _| !key.starts_with("_nats"));
}

/// Members that this version does not know, kept so that a read, a change and a write do not reset
/// what a newer server has.
pub(crate) type Unknown = serde_json::Map<String, serde_json::Value>;

/// Gives a configuration a setter for each of its members, so that it is built in a chain and a new
/// member breaks nobody.
///
/// The kind says what a setter takes: `value` the member's type, `some` the same or what is
/// inside its `Option`, `text` anything that becomes its `String`, `some_text` the same inside an `Option`,
/// `list` anything that can be iterated over whose items become the member's, `pair` a key and a
/// value to add to the member's map.
macro_rules! setters {
    ($type:ident { $($kind:ident $member:ident: $of:ty,)* }) => {
        impl $type {
            $(setters!(@ $kind $member $of);)*
        }
    };
    (@ value $member:ident $of:ty) => {
        #[doc = concat!("Sets [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member(mut self, $member: $of) -> Self {
            self.$member = $member;
            self
        }
    };
    (@ some $member:ident $of:ty) => {
        #[doc = concat!("Sets [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member(mut self, $member: impl Into<Option<$of>>) -> Self {
            self.$member = $member.into();
            self
        }
    };
    (@ text $member:ident $of:ty) => {
        #[doc = concat!("Sets [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member(mut self, $member: impl Into<$of>) -> Self {
            self.$member = $member.into();
            self
        }
    };
    (@ some_text $member:ident $of:ty) => {
        #[doc = concat!("Sets [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member(mut self, $member: impl Into<$of>) -> Self {
            self.$member = Some($member.into());
            self
        }
    };
    (@ list $member:ident $of:ty) => {
        #[doc = concat!("Sets [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member<T: Into<$of>>(mut self, $member: impl IntoIterator<Item = T>) -> Self {
            self.$member = $member.into_iter().map(Into::into).collect();
            self
        }
    };
    (@ pair $member:ident $of:ty) => {
        #[doc = concat!("Adds to [`", stringify!($member), "`](Self#structfield.", stringify!($member), ").")]
        #[must_use]
        pub fn $member(mut self, key: impl Into<$of>, value: impl Into<$of>) -> Self {
            self.$member.insert(key.into(), value.into());
            self
        }
    };
}

pub(crate) use setters;
