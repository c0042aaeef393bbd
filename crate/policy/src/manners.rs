//! stub
use std::time::Instant;
#[derive(Debug)]
pub struct Manners;
impl Manners {
    pub fn new(_rate: Option<f64>) -> Self {
        Self
    }
    pub fn next(&mut self, _host: &str, _now: Instant) -> Option<Instant> {
        None
    }
    pub fn take(&mut self, _host: &str, _now: Instant) -> bool {
        true
    }
    pub fn pause(&mut self, _host: &str, _until: Instant) -> bool {
        true
    }
}
