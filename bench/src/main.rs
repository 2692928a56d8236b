//! `rides-bench`: what `cargo xtask bench` runs.

/// As rides-server has it: the peers in Rust are this program too, and are to differ in nothing but what they do.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    rides_bench::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("rides-bench: it pins programs to cores and reads their figures from /proc, so it needs Linux");
}
