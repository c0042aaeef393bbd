//! The pools that a manager keeps (`numPools`), by what tells them apart, least recently used first to go; and the key
//! itself.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use lru::LruCache;
use serde_json::Value;

use crate::origin::Origin;

/// A bounded map that lets the entry go which has been used longest ago.
///
/// `get` and `put` use an entry; nothing else does. Every method is O(1) but [`Shelf::clear`] and [`Shelf::iter`], and
/// memory grows with what is kept, not with the bound.
///
/// ```
/// use ferropool_policy::shelf::Shelf;
/// let mut shelf = Shelf::new(2);
/// shelf.put("a", 1);
/// shelf.put("b", 2);
/// assert_eq!(shelf.get(&"a"), Some(&1));
/// assert_eq!(shelf.put("c", 3), Some(("b", 2)));
/// ```
pub struct Shelf<K: Hash + Eq, V> {
    most: usize,
    /// Without a bound of its own: it would reserve memory for as many, and it cannot keep none.
    kept: LruCache<K, V>,
}

impl<K: Hash + Eq, V> Shelf<K, V> {
    /// Keeps at most so many; 0: none, see [`Shelf::put`].
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, kept: LruCache::unbounded() }
    }

    /// The entry, which becomes the newest.
    pub fn get(&mut self, key: &K) -> Option<&V> {
        self.kept.get(key)
    }

    /// The entry, whose place stays as it is.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.kept.peek(key)
    }

    /// Adds an entry as the newest. What has to go for it is returned, to be disposed of: the oldest where there are too
    /// many, the one that had the same key, or, where none is kept, this very one: whoever put it there uses it on.
    pub fn put(&mut self, key: K, value: V) -> Option<(K, V)> {
        let replaced = self.kept.push(key, value);
        if self.kept.len() > self.most { self.kept.pop_lru() } else { replaced }
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        self.kept.pop(key)
    }

    /// Takes all out, the oldest first.
    pub fn clear(&mut self) -> Vec<V> {
        let kept = std::mem::replace(&mut self.kept, LruCache::unbounded());
        kept.into_iter().map(|(_, value)| value).collect()
    }

    /// All entries, the newest last. None of them is used by that.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.kept.iter().rev()
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }
}

impl<K: Hash + Eq + fmt::Debug, V: fmt::Debug> fmt::Debug for Shelf<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.iter()).finish()
    }
}

/// What tells two pools of a manager apart: scheme, host and effective port as [`Origin`] compares them, so that a dot at
/// the end of a name counts, and every setting of the pool.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PoolKey {
    /// Where the pool's connections go.
    pub origin: Origin,
    /// How they are made, and all else that the pool was told.
    pub settings: Canonical,
    /// The proxy on the way, and what becomes of requests there; none where the way is direct.
    pub via: Option<Arc<str>>,
}

/// Without the proxy, whose credentials are part of the key.
impl fmt::Debug for PoolKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, settings, via } = self;
        let via = via.as_ref().map(|_| "…");
        let mut shown = formatter.debug_struct("PoolKey");
        shown.field("origin", origin).field("settings", settings).field("via", &via).finish()
    }
}

/// Settings as one text: JSON without white space, the names of each object in order. Two are equal if their texts are;
/// that a hash is equal is not enough, because a connection made with other certificates or another proxy would be used.
///
/// A clone shares the text and is equal by its address alone, so a manager that makes the text of its own settings once
/// pays for one comparison of pointers a request. A setting that is `null` differs from an absent one: the caller fills the
/// defaults in, or leaves both out.
#[derive(Clone)]
pub struct Canonical {
    text: Arc<str>,
    /// Of the text. Its keys are fixed: what is hashed is chosen by the program, not by a peer.
    hash: u64,
}

impl Canonical {
    /// The text of these settings.
    #[must_use]
    pub fn of(settings: &Value) -> Self {
        let mut text = String::new();
        write_canonical(settings, &mut text);
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self { text: text.into(), hash: hasher.finish() }
    }

    /// As JSON. It may hold passwords and keys.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Canonical {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.text, &other.text) || (self.hash == other.hash && self.text == other.text)
    }
}

impl Eq for Canonical {}

impl Hash for Canonical {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Without the text: settings hold passwords and keys, and what is printed for debugging ends up in logs.
impl fmt::Debug for Canonical {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Canonical").field("bytes", &self.text.len()).finish_non_exhaustive()
    }
}

/// The order is made here: that `serde_json` sorts the names of an object is a matter of its features, which any crate of
/// the build can change.
fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|&(name, _)| name);
            text.push('{');
            for (at, (name, field)) in fields.into_iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_canonical(&Value::from(name.as_str()), text);
                text.push(':');
                write_canonical(field, text);
            }
            text.push('}');
        }
        Value::Array(items) => {
            text.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    text.push(',');
                }
                write_canonical(item, text);
            }
            text.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => text.push_str(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::url;

    fn filled(most: usize, keys: &str) -> (Shelf<char, usize>, Vec<(char, usize)>) {
        let mut shelf = Shelf::new(most);
        let evicted = keys.chars().enumerate().filter_map(|(at, key)| shelf.put(key, at)).collect();
        (shelf, evicted)
    }

    fn keys(shelf: &Shelf<char, usize>) -> String {
        shelf.iter().map(|(key, _)| key).collect()
    }

    // MGR-04
    #[test]
    fn beyond_the_bound_the_least_recently_used_goes() {
        let (shelf, evicted) = filled(3, "abcde");
        assert_eq!((keys(&shelf), evicted, shelf.len()), ("cde".to_owned(), vec![('a', 0), ('b', 1)], 3));
    }

    // MGR-04
    #[test]
    fn to_get_is_to_use_and_to_look_is_not() {
        let (mut shelf, _) = filled(3, "abc");
        assert_eq!((shelf.peek(&'a'), keys(&shelf).as_str()), (Some(&0), "abc"));
        assert_eq!(shelf.get(&'a'), Some(&0));
        assert_eq!(keys(&shelf), "bca");
        assert_eq!(shelf.peek(&'x'), None);
        assert_eq!(shelf.get(&'x'), None);
        assert_eq!((shelf.put('d', 9), keys(&shelf).as_str()), (Some(('b', 1)), "cad"));
    }

    // MGR-04
    #[test]
    fn one_of_the_same_key_takes_the_place_of_the_other() {
        let (mut shelf, _) = filled(2, "ab");
        assert_eq!(shelf.put('a', 7), Some(('a', 0)));
        assert_eq!((keys(&shelf).as_str(), shelf.peek(&'a')), ("ba", Some(&7)));
    }

    // MGR-04
    #[test]
    fn with_a_bound_of_none_what_is_put_comes_back() {
        let (mut shelf, evicted) = filled(0, "ab");
        assert_eq!(evicted, [('a', 0), ('b', 1)]);
        assert!(shelf.is_empty() && shelf.get(&'a').is_none() && shelf.clear().is_empty());
    }

    // MGR-04 MGR-05
    #[test]
    fn what_is_taken_out_is_gone_and_the_shelf_goes_on() {
        let (mut shelf, _) = filled(3, "abc");
        assert_eq!((shelf.remove(&'b'), shelf.remove(&'b')), (Some(1), None));
        assert_eq!(shelf.get(&'a'), Some(&0));
        assert_eq!(shelf.clear(), [2, 0]);
        assert!(shelf.is_empty());
        assert_eq!((shelf.put('z', 5), shelf.len(), format!("{shelf:?}").as_str()), (None, 1, "{'z': 5}"));
    }

    // MGR-04: the bound is a number of the caller's, and costs nothing by being large.
    #[test]
    fn a_large_bound_reserves_nothing() {
        let mut shelf = Shelf::new(usize::MAX);
        for key in 0..1_000 {
            assert_eq!(shelf.put(key, ()), None);
        }
        assert_eq!(shelf.len(), 1_000);
    }

    fn key(url: &str, settings: &Value) -> PoolKey {
        let origin = Origin::from_absolute_url(&url::parse(url).unwrap()).unwrap();
        PoolKey { origin, settings: Canonical::of(settings), via: None }
    }

    // MGR-01 MGR-02 MGR-03
    #[test]
    fn pools_are_told_apart_by_scheme_host_and_port() {
        let of = |url| key(url, &json!({}));
        for same in ["http://localhost/", "HTTP://LocalHost:80/a?b#c", "http://u:p@localhost"] {
            assert_eq!(of(same), of("http://localhost"), "{same}");
        }
        let others =
            ["http://localhost", "http://localhost.", "https://localhost", "http://localhost:81", "http://[::1]"];
        let different: HashSet<_> = others.into_iter().map(of).collect();
        assert_eq!(different.len(), others.len());
    }

    // MGR-01 THR-323: any setting tells two pools apart, one that does not exist yet too.
    #[test]
    fn each_setting_is_part_of_the_key() {
        let base = json!({
            "maxsize": 1, "block": false, "timeout": { "connect": null, "read": 5 }, "headers": [["a", "b"], ["c", "d"]],
            "caCert": "x", "cert": null, "certReqs": "required", "fingerprint": null, "assertHostname": true,
            "serverHostname": null, "alpn": ["http/1.1"], "minVersion": "1.2", "proxy": null,
            "proxyHeaders": { "proxy-authorization": "Basic eA==" }, "proxyTls": null, "localAddress": null,
            "unixSocket": null, "resolve": { "a": "127.0.0.1" },
        });
        let fields = base.as_object().unwrap();
        let mut all: HashSet<PoolKey> = fields
            .keys()
            .flat_map(|name| {
                let with = |value: Value| {
                    let mut changed = base.clone();
                    changed[name] = value;
                    changed
                };
                let mut without = base.clone();
                without.as_object_mut().unwrap().remove(name);
                [with(json!("other")), with(json!({ "connect": 1 })), without]
            })
            .map(|settings| key("https://a", &settings))
            .collect();
        all.insert(key("https://a", &base));
        assert_eq!(all.len(), fields.len() * 3 + 1);
        assert!(all.contains(&key("https://a", &base)));
    }

    // THR-323
    #[test]
    fn the_order_of_names_means_nothing_and_that_of_items_does() {
        let of = |json: &str| Canonical::of(&serde_json::from_str(json).unwrap());
        let one = of(r#"{ "b": [1, {"y": "\"\n", "x": null}], "a": 1.5 }"#);
        assert_eq!(one.text(), r#"{"a":1.5,"b":[1,{"x":null,"y":"\"\n"}]}"#);
        assert_eq!(one, of(r#"{"a":1.5,"b":[1,{"x":null,"y":"\"\n"}]}"#));
        assert_ne!(one, of(r#"{"a":1.5,"b":[{"x":null,"y":"\"\n"},1]}"#));
        assert_ne!(of(r#"{"a":"1"}"#), of(r#"{"a":1}"#));
        assert_ne!(of(r#"{"a":"x\",\"b\":\"y"}"#), of(r#"{"a":"x","b":"y"}"#));
    }

    // THR-323: equal hashes are not taken for equal settings.
    #[test]
    fn the_text_decides_and_not_its_hash() {
        let one = Canonical::of(&json!({ "certReqs": "required" }));
        let forged = Canonical { hash: one.hash, ..Canonical::of(&json!({ "certReqs": "none" })) };
        assert_ne!(one, forged);
        let clone = one.clone();
        assert!(Arc::ptr_eq(&clone.text, &one.text) && clone == one);
    }

    // THR-323: what is printed tells no password.
    #[test]
    fn what_is_printed_has_no_settings_in_it() {
        let key = key("https://a", &json!({ "keyPassword": "secret" }));
        let key = PoolKey { via: Some("http://user:secret@p".into()), ..key };
        assert!(!format!("{key:?}").contains("secret"), "{key:?}");
    }
}
