//! What the kernel knows about this process. Only Linux tells it in files; elsewhere the figures are absent.

/// Processor time of the process so far. There is one thread, so the main thread's account is the whole of it.
pub(crate) fn cpu_nanoseconds() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// The most memory ever resident, in MiB.
pub(crate) fn peak_memory_mib() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}
