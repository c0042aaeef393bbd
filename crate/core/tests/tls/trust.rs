//! Whom a plan trusts: files, directories, bytes, the environment's and the system's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ferropool_policy::error::Kind;
use ferropool_policy::tls::{Authority, CertReqs, Environment, TlsSettings};

use crate::pki::{Ca, issue, leaf_params, root};
use crate::server::{Server, plan, reason, refusal};

/// A directory of one test, gone with it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ferropool-tls-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        text(&path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn trusting(authorities: &[Authority]) -> TlsSettings {
    TlsSettings { authorities: authorities.to_vec(), ..TlsSettings::default() }
}

/// Whether this trust takes in what the CA issues.
async fn is_trusted(settings: &TlsSettings, ca: &Ca) -> bool {
    let server = Server::usual(&issue(&leaf_params(&["localhost"]), ca)).await;
    match server.visit(&plan(settings, "localhost")).await {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(reason(&error), "UNABLE_TO_VERIFY_LEAF_SIGNATURE", "{error}");
            false
        }
    }
}

/// How many are trusted.
fn count(settings: &TlsSettings) -> usize {
    let shown = format!("{:?}", plan(settings, "localhost"));
    shown.split("RootCertStore { roots: \"(").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

// TLS-02 THR-824
#[tokio::test]
async fn every_source_is_read_and_each_adds() {
    let scratch = Scratch::new("sources");
    let [in_file, in_directory, in_pem, in_der, in_der_too, other] =
        ["File", "Directory", "PEM", "DER", "DER too", "Other"].map(root);
    let directory = scratch.path("directory");
    fs::create_dir_all(directory.join("subdirectory")).unwrap();
    fs::write(directory.join("b.crt"), format!("# A comment\n{}", in_directory.pem())).unwrap();
    fs::write(directory.join("README"), "no certificate").unwrap();
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("b.crt", directory.join("9c4d4a00.0")).unwrap();
        std::os::unix::fs::symlink("gone.crt", directory.join("9c4d4a01.0")).unwrap();
    }
    let settings = trusting(&[
        Authority::File(scratch.write("a.pem", in_file.pem())),
        Authority::Dir(text(&directory)),
        Authority::Pem(format!("{}{}", in_pem.pem(), in_file.pem())),
        Authority::Der(STANDARD.encode([in_der.der().as_ref(), in_der_too.der().as_ref()].concat())),
    ]);
    for ca in [&in_file, &in_directory, &in_pem, &in_der, &in_der_too] {
        assert!(is_trusted(&settings, ca).await);
    }
    assert!(!is_trusted(&settings, &other).await);
}

// TLS-02 THR-824
#[test]
fn what_cannot_be_used_is_refused_and_named() {
    let scratch = Scratch::new("refused");
    let ca = root("Root");
    let broken = ca.pem().replace("-----END", "-----THE END");
    let no_certificate = crate::pki::pem("CERTIFICATE", b"junk");
    let no_base64 = "-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n";
    fs::create_dir_all(scratch.path("empty")).unwrap();
    fs::create_dir_all(scratch.path("readme")).unwrap();
    scratch.write("readme/README", "-----BEGIN nothing");
    let missing = text(&scratch.path("missing.pem"));
    let rows = [
        (Authority::File(missing.clone()), "cannot be read", "missing.pem"),
        (Authority::File(text(&scratch.path("empty"))), "not a regular file", "empty"),
        (Authority::File(scratch.write("void.pem", "")), "is empty", "void.pem"),
        (Authority::File(scratch.write("junk.pem", "junk")), "holds no certificate", "junk.pem"),
        (Authority::File(scratch.write("der.pem", ca.der())), "is DER, not PEM", "der.pem"),
        (Authority::File(scratch.write("broken.pem", broken)), "has no end", "broken.pem"),
        (Authority::File(scratch.write("other.pem", &no_certificate)), "cannot be understood", "other.pem"),
        (Authority::File(scratch.write("base64.pem", no_base64)), "is not base64", "base64.pem"),
        (Authority::Dir(text(&scratch.path("gone"))), "cannot be read", "gone"),
        (Authority::Dir(text(&scratch.path("empty"))), "holds no certificate", "empty"),
        (Authority::Dir(text(&scratch.path("readme"))), "holds no certificate", "readme"),
        (Authority::Dir(missing), "cannot be read", "missing.pem"),
        (Authority::Pem("junk".to_owned()), "holds no certificate", "given as PEM"),
        (Authority::Der(STANDARD.encode("junk")), "is not DER", "given as DER"),
        (Authority::Der(STANDARD.encode(&ca.der()[1..])), "is not DER", "given as DER"),
        (Authority::Der(String::new()), "is empty", "given as DER"),
    ];
    for (authority, what, which) in rows {
        for cert_reqs in [CertReqs::Required, CertReqs::None] {
            let (why, message) = refusal(&TlsSettings { cert_reqs, ..trusting(std::slice::from_ref(&authority)) });
            assert_eq!(why, "ERR_TLS_CA", "{message}");
            assert!(message.contains(what) && message.contains(which), "{authority:?}: {message}");
        }
    }
    let error = ferropool_core::tls::TlsPlan::new(
        &trusting(&[Authority::File(text(&scratch.path("missing.pem")))]),
        "localhost",
        ferropool_core::tls::Alpn::Http1,
    )
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Tls);
    assert_eq!(error.fields().causes[0].code.as_deref(), Some("ENOENT"));
}

// THR-824
#[tokio::test]
async fn ten_megabytes_of_authorities_or_of_junk_take_little_time() {
    let scratch = Scratch::new("large");
    let ca = root("Root");
    let bundle = ca.pem().repeat(10_000_000 / ca.pem().len());
    let settings = trusting(&[Authority::File(scratch.write("bundle.pem", bundle))]);
    let began = Instant::now();
    assert!(is_trusted(&settings, &ca).await);
    let junk = "junk ".repeat(2_000_000);
    assert!(refusal(&trusting(&[Authority::File(scratch.write("junk.pem", junk))])).1.contains("holds no certificate"));
    let endless = format!("-----BEGIN CERTIFICATE-----\n{}", "QUJD\n".repeat(2_000_000));
    assert!(refusal(&trusting(&[Authority::File(scratch.write("endless.pem", endless))])).1.contains("has no end"));
    // What is not linear would take hours.
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    // What never ends, and what never begins, is not waited for.
    #[cfg(target_os = "linux")]
    assert!(refusal(&trusting(&[Authority::File("/dev/zero".to_owned())])).1.contains("not a regular file"));
}

// TLS-02 THR-824
#[tokio::test]
async fn the_environment_replaces_or_adds_to_the_defaults() {
    let scratch = Scratch::new("environment");
    let [a, b, c] = ["A", "B", "C"].map(root);
    fs::create_dir_all(scratch.path("one")).unwrap();
    fs::create_dir_all(scratch.path("two")).unwrap();
    scratch.write("one/b.pem", b.pem());
    scratch.write("two/c.pem", c.pem());
    let cert_file = Some(scratch.write("a.pem", a.pem()));
    let directories = std::env::join_paths([scratch.path("one"), scratch.path("two")]).unwrap();
    let cert_dir = Some(directories.into_string().unwrap());
    let of = |environment| TlsSettings { environment, ..TlsSettings::default() };
    let both = of(Environment { cert_file: cert_file.clone(), cert_dir, ..Environment::default() });
    for ca in [&a, &b, &c] {
        assert!(is_trusted(&both, ca).await);
    }
    assert_eq!(count(&both), 3, "in place of the compiled roots");
    let extra = of(Environment { extra_certs: cert_file.clone(), ..Environment::default() });
    assert!(is_trusted(&extra, &a).await && !is_trusted(&extra, &b).await);
    // The caller's own replace all of that.
    let own = TlsSettings { authorities: vec![Authority::Pem(b.pem())], ..both.clone() };
    assert!(is_trusted(&own, &b).await && !is_trusted(&own, &a).await && !is_trusted(&own, &c).await);
    // A wrong path is named with its variable, but for NODE_EXTRA_CA_CERTS, of which Node.js has warned.
    let missing = Some(text(&scratch.path("missing")));
    let file = of(Environment { cert_file: missing.clone(), ..Environment::default() });
    let directory = of(Environment { cert_dir: missing.clone(), ..Environment::default() });
    assert!(refusal(&file).1.starts_with("SSL_CERT_FILE \""));
    assert!(refusal(&directory).1.starts_with("SSL_CERT_DIR \""));
    for extra_certs in [missing, Some(scratch.write("junk", "junk")), Some(scratch.write("cut", "-----BEGIN A-----"))] {
        plan(&of(Environment { extra_certs, ..Environment::default() }), "localhost");
    }
    // Who verifies nobody needs none of it.
    plan(&TlsSettings { cert_reqs: CertReqs::None, ..file }, "localhost");
}

// TLS-02 THR-824
#[test]
fn the_defaults_are_compiled_in() {
    assert!(count(&TlsSettings::default()) > 100);
}

// TLS-02 THR-824
#[tokio::test]
async fn the_systems_store_is_taken_when_asked_for_and_must_hold_something() {
    const ROLE: &str = "FERROPOOL_TEST_ROLE";
    let environment = || TlsSettings {
        environment: Environment { system: true, ..Environment::default() },
        ..TlsSettings::default()
    };
    match std::env::var(ROLE).as_deref() {
        // As in an image that has no roots.
        Ok("bare") => {
            for settings in [trusting(&[Authority::System]), environment()] {
                let (why, message) = refusal(&settings);
                assert_eq!(why, "ERR_TLS_CA");
                assert!(message.starts_with("the system's store holds no certificate"), "{message}");
            }
        }
        Ok("stocked") => {
            let key = rcgen::KeyPair::from_pem(include_str!("fixtures/ec.pkcs8.pem")).unwrap();
            let ca = Ca::self_signed(crate::pki::ca_params("System", None), key).unwrap();
            let only = trusting(&[Authority::System]);
            assert!(is_trusted(&only, &ca).await && is_trusted(&environment(), &ca).await);
            assert!(!is_trusted(&TlsSettings::default(), &ca).await);
            assert_eq!(count(&only), 1);
            assert_eq!(count(&environment()), count(&TlsSettings::default()) + 1);
        }
        _ => {
            let scratch = Scratch::new("system");
            let key = rcgen::KeyPair::from_pem(include_str!("fixtures/ec.pkcs8.pem")).unwrap();
            let ca = Ca::self_signed(crate::pki::ca_params("System", None), key).unwrap();
            let stocked = scratch.write("system.pem", ca.pem());
            // A process each: the store is read once in one, and where it is comes from the environment.
            for (role, file) in [("bare", text(&scratch.path("missing.pem"))), ("stocked", stocked)] {
                let test = "trust::the_systems_store_is_taken_when_asked_for_and_must_hold_something";
                let mut command = Command::new(std::env::current_exe().unwrap());
                command.args([test, "--exact"]).env(ROLE, role).env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
                let output = command.output().unwrap();
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(output.status.success() && said.contains("1 passed"), "{said}");
            }
        }
    }
}
