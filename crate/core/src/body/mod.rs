//! Bodies on their way in: what becomes of a response's bytes between hyper's frames and the caller. Framing (lengths
//! and chunks) is hyper's; sending bodies is not done here.

pub mod decode;
