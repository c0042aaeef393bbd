//! Carries requests and responses between Node.js and the core.
