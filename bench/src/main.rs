//! `rides-bench`: what `cargo xtask bench` runs.

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    rides_bench::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("rides-bench: it pins programs to cores and reads their figures from /proc, so it needs Linux");
}
