//! Certificates of any kind, made on the spot.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, SanType, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Somebody who issues certificates.
pub(crate) type Ca = CertifiedIssuer<'static, KeyPair>;

/// A chain to send, and the key of its first certificate.
pub(crate) struct Papers {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: KeyPair,
}

impl Papers {
    pub(crate) fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// The same, followed by these.
    pub(crate) fn and(mut self, more: &[&Ca]) -> Self {
        self.chain.extend(more.iter().map(|ca| ca.der().clone()));
        self
    }

    pub(crate) fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }

    pub(crate) fn pem(&self) -> String {
        self.chain.iter().map(|der| pem("CERTIFICATE", der)).collect()
    }
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line)).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn base(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 1, 1);
    params
}

/// What a CA's certificate says; with the most intermediates that it allows below it.
pub(crate) fn ca_params(name: &str, most: Option<u8>) -> CertificateParams {
    let mut params = base(name);
    params.is_ca = IsCa::Ca(most.map_or(BasicConstraints::Unconstrained, BasicConstraints::Constrained));
    params
}

/// What a server's certificate says.
pub(crate) fn leaf_params(names: &[&str]) -> CertificateParams {
    let mut params = base("a common name that does not count");
    params.is_ca = IsCa::ExplicitNoCa;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.subject_alt_names = names.iter().map(|name| san(name)).collect();
    params
}

/// An address where it is one, a DNS name where not, however wrong.
fn san(name: &str) -> SanType {
    match name.parse() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

pub(crate) fn root(name: &str) -> Ca {
    Ca::self_signed(ca_params(name, None), KeyPair::generate().unwrap()).unwrap()
}

pub(crate) fn below(name: &str, issuer: &Issuer<'_, KeyPair>) -> Ca {
    Ca::signed_by(ca_params(name, None), KeyPair::generate().unwrap(), issuer).unwrap()
}

pub(crate) fn issue(params: &CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Papers {
    issue_for(params, KeyPair::generate().unwrap(), issuer)
}

pub(crate) fn issue_for(params: &CertificateParams, key: KeyPair, issuer: &Issuer<'_, KeyPair>) -> Papers {
    Papers { chain: vec![params.signed_by(&key, issuer).unwrap().der().clone()], key }
}

pub(crate) fn self_signed(params: &CertificateParams) -> Papers {
    let key = KeyPair::generate().unwrap();
    Papers { chain: vec![params.self_signed(&key).unwrap().der().clone()], key }
}

/// A CA and what it has issued for `localhost` and both loopback addresses.
pub(crate) fn usual() -> (Ca, Papers) {
    let ca = root("Root");
    let papers = issue(&leaf_params(&["localhost", "127.0.0.1", "::1"]), &ca);
    (ca, papers)
}

/// Lower-case digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits: Vec<_> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    digits.concat()
}
