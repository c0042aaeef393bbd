//! How many ways there are from a certificate up through those that came with it, by their names alone.
//!
//! webpki tries them all, up to 200,000, and reads every certificate again at each step: a few that share a name and some
//! that lead nowhere cost it seconds, on a thread that others wait for. Chains that are meant to be followed have a handful of
//! ways. So they are counted first, and those that cannot lie on one are left out.

use rustls_pki_types::CertificateDer;

use super::certificate::element;

/// More than any chain that is honestly cross-signed has.
const MOST: usize = 256;

/// Of the intermediates those that can follow the leaf, in order; `None` where there are more ways than anybody needs.
pub(super) fn relevant<'a>(
    leaf: &CertificateDer<'_>,
    intermediates: &'a [CertificateDer<'a>],
) -> Option<Vec<CertificateDer<'a>>> {
    let mut candidates: Vec<_> = intermediates.iter().filter_map(|der| Some((names(der)?, der))).collect();
    candidates.dedup_by_key(|(_, der)| *der);
    let Some((_, issuer)) = names(leaf) else { return Some(Vec::new()) };
    let mut walk = Walk {
        names: candidates.iter().map(|(names, _)| *names).collect(),
        reached: vec![false; candidates.len()],
        above: vec![false; candidates.len()],
        steps: 0,
    };
    if !walk.from(issuer) {
        return None;
    }
    let reached = candidates.into_iter().zip(walk.reached).filter(|(_, reached)| *reached);
    Some(reached.map(|((_, der), _)| CertificateDer::from(der.as_ref())).collect())
}

struct Walk<'a> {
    /// Subject and issuer of each.
    names: Vec<(&'a [u8], &'a [u8])>,
    /// What lies on some way.
    reached: Vec<bool>,
    /// What lies on the way that is being walked.
    above: Vec<bool>,
    steps: usize,
}

impl Walk<'_> {
    /// Walks on from whoever has issued; `false` as soon as there are too many ways.
    fn from(&mut self, issuer: &[u8]) -> bool {
        for at in 0..self.names.len() {
            let (subject, next) = self.names[at];
            if self.above[at] || subject != issuer {
                continue;
            }
            self.steps += 1;
            if self.steps > MOST {
                return false;
            }
            self.reached[at] = true;
            self.above[at] = true;
            // No recursion deeper than the number of steps.
            let goes_on = self.from(next);
            self.above[at] = false;
            if !goes_on {
                return false;
            }
        }
        true
    }
}

/// Subject and issuer as they stand in the certificate (RFC 5280 §4.1): webpki compares them byte for byte as well.
fn names(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (0x30, certificate, _) = element(der)? else { return None };
    let (0x30, mut rest, _) = element(certificate)? else { return None };
    if let (0xa0, _, after_version) = element(rest)? {
        rest = after_version;
    }
    let (_serial_number, _, rest) = element(rest)?;
    let (_signature, _, rest) = element(rest)?;
    let (_, issuer, rest) = element(rest)?;
    let (_validity, _, rest) = element(rest)?;
    let (_, subject, _) = element(rest)?;
    Some((subject, issuer))
}
