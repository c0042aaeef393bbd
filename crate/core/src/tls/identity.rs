//! The client's own certificate and its key, in whichever of the usual wrappings they come.
//!
//! PKCS#8, PKCS#1 and SEC 1, plain or encrypted: by PKCS#8's own scheme, or by OpenSSL's older one, in which PEM headers
//! name the cipher. That the key belongs to the certificate is found out here, not by the first server that asks.

use std::path::Path;

use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockCipher, BlockDecryptMut, KeyInit, KeyIvInit as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::tls::{Identity, Material};
use md5::{Digest as _, Md5};
use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::fingerprint::unhex;
use super::pem::{self, Section};
use super::source::Source;

/// What was read, not yet understood.
#[derive(Hash)]
pub(super) struct Papers {
    chain: Source,
    /// Where it is not in the same place as the chain.
    key: Option<Source>,
    password: Option<Vec<u8>>,
}

impl Papers {
    /// Reads what the settings name.
    ///
    /// # Errors
    /// `Tls`, `ERR_TLS_CERT` or `ERR_TLS_KEY`, that names the file.
    pub(super) fn read(identity: &Identity) -> Result<Self, Error> {
        let source = |material: &Material, what: &str, reason| match material {
            Material::File(path) => Source::file(Path::new(path), &format!("the {what} file"), reason),
            Material::Pem(text) => Ok(Source::given(&format!("the {what} given as PEM"), text.as_bytes())),
        };
        let password = identity.password.as_ref().map(|base64| STANDARD.decode(base64)).transpose();
        Ok(Self {
            chain: source(&identity.chain, "client certificate", CERT)?,
            key: identity.key.as_ref().map(|key| source(key, "client key", KEY)).transpose()?,
            password: password.map_err(|_| refusal(KEY, "the password of the client's key is not base64"))?,
        })
    }

    /// The chain as it will be sent, its first certificate the client's, and the key to it.
    ///
    /// # Errors
    /// `Tls`: `ERR_TLS_CERT` without a certificate; `ERR_TLS_KEY` without a key, for one that cannot be opened with the
    /// password or understood, or that belongs to another certificate.
    pub(super) fn certified_key(&self, provider: &CryptoProvider) -> Result<CertifiedKey, Error> {
        let sections = sections(&self.chain, CERT)?;
        let certificates = sections.iter().filter(|section| section.label == "CERTIFICATE");
        let chain: Vec<_> = certificates.map(|section| CertificateDer::from(section.body.clone())).collect();
        if chain.is_empty() {
            return Err(refusal(CERT, format!("{} holds no certificate as PEM", self.chain.label)));
        }
        let (label, key) = match &self.key {
            Some(source) => (&source.label, self.key_in(source, &self::sections(source, KEY)?)?),
            None => (&self.chain.label, self.key_in(&self.chain, &sections)?),
        };
        CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                refusal(KEY, format!("the key in {label} does not belong to the certificate in {}", self.chain.label))
            }
            rustls::Error::InvalidCertificate(_) => {
                refusal(CERT, format!("the certificate in {} cannot be understood", self.chain.label))
            }
            _ => refusal(KEY, format!("the key in {label} cannot be understood{}", self.doubt())),
        })
    }

    fn key_in(&self, source: &Source, sections: &[Section]) -> Result<PrivateKeyDer<'static>, Error> {
        let Some(section) = sections.iter().find(|section| section.label.ends_with("PRIVATE KEY")) else {
            return Err(refusal(KEY, format!("{} holds no private key as PEM", source.label)));
        };
        let body = match section.headers.iter().find(|(name, _)| name == "DEK-Info") {
            Some((_, cipher)) => open_by_header(&section.body, cipher, self.password()?)
                .map_err(|flaw| refusal(KEY, format!("{}: {flaw}", source.label)))?,
            None => section.body.clone(),
        };
        match section.label.as_str() {
            "PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs8(body.into())),
            "RSA PRIVATE KEY" => Ok(PrivateKeyDer::Pkcs1(body.into())),
            "EC PRIVATE KEY" => Ok(PrivateKeyDer::Sec1(body.into())),
            "ENCRYPTED PRIVATE KEY" => {
                let open = open_pkcs8(&body, self.password()?);
                Ok(PrivateKeyDer::Pkcs8(open.map_err(|flaw| refusal(KEY, format!("{}: {flaw}", source.label)))?.into()))
            }
            other => Err(refusal(KEY, format!("{} holds a key of a kind that is not known: {other}", source.label))),
        }
    }

    fn password(&self) -> Result<&[u8], Error> {
        // urllib3's words, which its users search for.
        let missing = || refusal(KEY, "Client private key is encrypted, password is required");
        self.password.as_deref().ok_or_else(missing)
    }

    /// One wrong password of 256 leaves something that looks decrypted.
    fn doubt(&self) -> &'static str {
        if self.password.is_some() { "; the password may be wrong" } else { "" }
    }
}

const CERT: &str = "ERR_TLS_CERT";
const KEY: &str = "ERR_TLS_KEY";
const WRONG: &str = "the key cannot be decrypted: the password is wrong";

fn refusal(reason: &'static str, message: impl Into<String>) -> Error {
    Error::new(Kind::Tls, message).with_reason(reason)
}

fn sections(source: &Source, reason: &'static str) -> Result<Vec<Section>, Error> {
    pem::sections(&source.bytes).map_err(|flaw| refusal(reason, format!("{}: {flaw}", source.label)))
}

/// RFC 5958 §3. PBES2 alone: nobody has made others by default since 2016.
fn open_pkcs8(der: &[u8], password: &[u8]) -> Result<Vec<u8>, String> {
    let unknown = |what: String| format!("the key is encrypted in a way that is not known ({what}); PBES2 is");
    let info = match pkcs8::EncryptedPrivateKeyInfo::try_from(der) {
        Ok(info) => info,
        Err(pkcs8::Error::Asn1(error)) => match error.kind() {
            pkcs8::der::ErrorKind::OidUnknown { oid } => return Err(unknown(oid.to_string())),
            _ => return Err(unknown(error.to_string())),
        },
        Err(error) => return Err(unknown(error.to_string())),
    };
    match info.decrypt(password) {
        Ok(document) => Ok(document.as_bytes().to_vec()),
        Err(pkcs8::Error::EncryptedPrivateKey(
            error @ (pkcs8::pkcs5::Error::NoPbes1CryptSupport
            | pkcs8::pkcs5::Error::UnsupportedAlgorithm { .. }
            | pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. }),
        )) => Err(unknown(error.to_string())),
        Err(_) => Err(WRONG.to_owned()),
    }
}

/// RFC 1421's headers as OpenSSL uses them: `DEK-Info: AES-256-CBC,` and the initialisation vector, of which the first eight
/// bytes are the salt as well.
fn open_by_header(body: &[u8], cipher: &str, password: &[u8]) -> Result<Vec<u8>, String> {
    let (name, iv) = cipher.split_once(',').unwrap_or((cipher, ""));
    let iv = unhex(iv.trim())
        .filter(|iv| iv.len() >= 8)
        .ok_or_else(|| "DEK-Info has no initialisation vector".to_owned())?;
    let key = |length| derive(password, &iv[..8], length);
    let plain = match name.trim().to_ascii_uppercase().as_str() {
        "AES-128-CBC" => decrypt::<aes::Aes128>(&key(16), &iv, body),
        "AES-192-CBC" => decrypt::<aes::Aes192>(&key(24), &iv, body),
        "AES-256-CBC" => decrypt::<aes::Aes256>(&key(32), &iv, body),
        "DES-EDE3-CBC" => decrypt::<des::TdesEde3>(&key(24), &iv, body),
        other => {
            let other = ferropool_policy::error::quote(other.as_bytes());
            return Err(format!("the key is encrypted in a way that is not known ({other})"));
        }
    };
    plain.ok_or_else(|| WRONG.to_owned())
}

fn decrypt<C: BlockDecryptMut + BlockCipher + KeyInit>(key: &[u8], iv: &[u8], body: &[u8]) -> Option<Vec<u8>> {
    cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?.decrypt_padded_vec_mut::<Pkcs7>(body).ok()
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(password: &[u8], salt: &[u8], length: usize) -> Vec<u8> {
    let mut key = Vec::new();
    let mut last = Vec::new();
    while key.len() < length {
        last = Md5::new().chain_update(&last).chain_update(password).chain_update(salt).finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(length);
    key
}
