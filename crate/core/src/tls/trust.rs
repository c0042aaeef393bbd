//! Whom to trust: the caller's authorities in place of the defaults, or the defaults as the environment has them.
//!
//! Reading and understanding are apart, so that a configuration that exists already is found by what was read. Any trusted
//! certificate is an anchor, also an intermediate's, since that is how webpki sees it (OpenSSL's partial chains).

use std::collections::HashSet;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_policy::error::{Error, Kind};
use ferropool_policy::tls::{Authority, CertReqs, Environment, TlsSettings};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use sha2::{Digest as _, Sha256};

use super::certificate::element;
use super::pem;
use super::shared::Digester;
use super::source::{LARGEST, Source, labelled, unreadable};

const REASON: &str = "ERR_TLS_CA";

/// What was read, not yet understood.
#[derive(Hash)]
pub(super) struct Trust {
    /// Where the caller names nobody.
    defaults: Option<Arc<Defaults>>,
    sources: Vec<(Form, Source)>,
}

/// The defaults as the environment has them.
struct Defaults {
    /// Mozilla's roots, compiled in.
    compiled: bool,
    sources: Vec<(Form, Source)>,
    /// Of the sources: what is often a megabyte in hundreds of files is not hashed for each pool.
    digest: [u8; 32],
}

impl Hash for Defaults {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.compiled, self.digest).hash(state);
    }
}

/// What a source must be.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    /// At least one certificate as PEM.
    Pem,
    /// A file of a directory, in which other things may be too.
    PemIfAny,
    /// Certificates as DER, one after the other.
    Der,
}

impl Trust {
    /// Reads what the settings name. Where nobody is verified the defaults are not needed, but what the caller named is
    /// read all the same: a wrong path is a mistake.
    ///
    /// # Errors
    /// `Tls` (`ERR_TLS_CA`) that names the file.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, Error> {
        let mut trust = Self { defaults: None, sources: Vec::new() };
        for authority in &settings.authorities {
            match authority {
                Authority::File(path) => trust.add_file(path, "the CA file")?,
                Authority::Dir(path) => trust.add_directory(Path::new(path), "the CA directory")?,
                Authority::Pem(text) => trust.add(Form::Pem, Source::given("the CA given as PEM", text.as_bytes())),
                Authority::Der(base64) => {
                    let bytes = STANDARD.decode(base64).map_err(|_| refusal("the CA given as DER is not base64"))?;
                    trust.add(Form::Der, Source::given("the CA given as DER", bytes));
                }
                Authority::System => trust.add_system()?,
            }
        }
        if settings.authorities.is_empty() && settings.cert_reqs == CertReqs::Required {
            trust.defaults = Some(defaults(&settings.environment)?);
        }
        Ok(trust)
    }

    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` replace the compiled roots, as they replace OpenSSL's; the others add. True if the
    /// compiled roots are among them.
    fn add_defaults(&mut self, environment: &Environment) -> Result<bool, Error> {
        if let Some(path) = &environment.cert_file {
            self.add_file(path, "SSL_CERT_FILE")?;
        }
        for path in environment.cert_dir.iter().flat_map(std::env::split_paths) {
            self.add_directory(&path, "SSL_CERT_DIR")?;
        }
        let compiled = self.sources.is_empty();
        if let Some(path) = &environment.extra_certs {
            // Node.js has warned about what is wrong with this file already, and goes on without it.
            let extra = Source::file(Path::new(path), "NODE_EXTRA_CA_CERTS", REASON);
            if let Ok(source) = extra
                && pem::sections(&source.bytes).is_ok()
            {
                self.add(Form::PemIfAny, source);
            }
        }
        if environment.system {
            self.add_system()?;
        }
        Ok(compiled)
    }

    fn add(&mut self, form: Form, source: Source) {
        self.sources.push((form, source));
    }

    fn add_file(&mut self, path: &str, what: &str) -> Result<(), Error> {
        let source = Source::file(Path::new(path), what, REASON)?;
        self.add(Form::Pem, source);
        Ok(())
    }

    /// Every file in it, in the order of their names. Links that lead nowhere are left out: a directory made by OpenSSL's
    /// rehash is full of links, and some outlive their files.
    fn add_directory(&mut self, path: &Path, what: &str) -> Result<(), Error> {
        let label = labelled(what, path);
        let failed = |error: io::Error| unreadable(&label, &error, REASON);
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
                files.push(path);
            }
        }
        files.sort();
        let (mut found, mut size) = (false, 0);
        for path in files {
            let source = Source::file(&path, what, REASON)?;
            size += source.bytes.len() as u64;
            if size > LARGEST {
                return Err(refusal(format!("{label} holds more than {} MiB", LARGEST >> 20)));
            }
            if memchr::memmem::find(&source.bytes, b"-----BEGIN ").is_some() {
                found |= memchr::memmem::find(&source.bytes, b"CERTIFICATE-----").is_some();
                self.add(Form::PemIfAny, source);
            }
        }
        if found { Ok(()) } else { Err(refusal(format!("{label} holds no certificate as PEM"))) }
    }

    fn add_system(&mut self) -> Result<(), Error> {
        let source = system()?;
        self.add(Form::Der, source);
        Ok(())
    }

    /// Makes anchors of it. In a bundle of several, a certificate that cannot be one is left out, as there are ancient ones
    /// in most.
    ///
    /// # Errors
    /// `Tls` (`ERR_TLS_CA`) that names the file in which there is no certificate, or a broken one.
    pub(super) fn roots(&self) -> Result<(RootCertStore, Named), Error> {
        let mut roots = RootCertStore::empty();
        if self.defaults.as_ref().is_some_and(|defaults| defaults.compiled) {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        let mut seen = HashSet::new();
        let defaults = self.defaults.iter().flat_map(|defaults| &defaults.sources);
        for (form, source) in defaults.chain(&self.sources) {
            let certificates = certificates(*form, source)?;
            if certificates.is_empty() && *form != Form::PemIfAny {
                return Err(refusal(nothing_in(source)));
            }
            let mut usable = certificates.is_empty();
            for der in certificates {
                if seen.contains(&der) {
                    usable = true;
                } else if roots.add(CertificateDer::from(der.as_slice())).is_ok() {
                    usable = true;
                    seen.insert(der);
                }
            }
            if !usable {
                return Err(refusal(format!("{} holds a certificate that cannot be understood", source.label)));
            }
        }
        let named = seen.into_iter().map(|der| Sha256::digest(der).into()).collect();
        Ok((roots, named))
    }
}

/// The hashes of the certificates that were named one by one; the compiled ones are not among them.
pub(super) type Named = HashSet<[u8; 32]>;

fn certificates(form: Form, source: &Source) -> Result<Vec<Vec<u8>>, Error> {
    if form == Form::Der {
        let mut found = Vec::new();
        let mut rest = source.bytes.as_slice();
        while !rest.is_empty() {
            let Some((0x30, _, after)) = element(rest) else {
                return Err(refusal(format!("{} is not DER", source.label)));
            };
            found.push(rest[..rest.len() - after.len()].to_vec());
            rest = after;
        }
        return Ok(found);
    }
    let sections = pem::sections(&source.bytes).map_err(|flaw| refusal(format!("{}: {flaw}", source.label)))?;
    let is_certificate = |label: &str| matches!(label, "CERTIFICATE" | "X509 CERTIFICATE");
    Ok(sections.into_iter().filter(|section| is_certificate(&section.label)).map(|section| section.body).collect())
}

/// Why there is nothing, as far as it can be guessed.
fn nothing_in(source: &Source) -> String {
    let label = &source.label;
    match source.bytes.first() {
        None => format!("{label} is empty"),
        Some(0x30) if element(&source.bytes).is_some() => {
            format!("{label} is DER, not PEM: convert it, or pass its bytes as caCertData")
        }
        Some(_) => format!("{label} holds no certificate as PEM"),
    }
}

/// What the environment says is read once a process, as its variables are: a bundle and a directory of hundreds of files
/// would cost each pool tens of milliseconds. Only what could be read is remembered.
fn defaults(environment: &Environment) -> Result<Arc<Defaults>, Error> {
    static READ: Mutex<Option<(Environment, Arc<Defaults>)>> = Mutex::new(None);
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, defaults)) = &*read
        && known == environment
    {
        return Ok(Arc::clone(defaults));
    }
    let mut trust = Trust { defaults: None, sources: Vec::new() };
    let compiled = trust.add_defaults(environment)?;
    let mut digest = Digester(Sha256::new());
    trust.sources.hash(&mut digest);
    let defaults = Arc::new(Defaults { compiled, sources: trust.sources, digest: digest.0.finalize().into() });
    *read = Some((environment.clone(), Arc::clone(&defaults)));
    Ok(defaults)
}

/// The system's store, read once a process. It is the same for every pool, and reading it takes its time. Only a store
/// with something in it is remembered.
fn system() -> Result<Source, Error> {
    static STORE: Mutex<Option<Source>> = Mutex::new(None);
    let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(source) = &*store {
        return Ok(source.clone());
    }
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!(": {}", why.join("; ")) };
        return Err(refusal(format!("the system's store holds no certificate{why}")));
    }
    let bytes: Vec<u8> = found.certs.iter().flat_map(|der| der.iter().copied()).collect();
    let source = Source::given("the system's store", bytes);
    *store = Some(source.clone());
    Ok(source)
}

fn refusal(message: impl Into<String>) -> Error {
    Error::new(Kind::Tls, message).with_reason(REASON)
}
