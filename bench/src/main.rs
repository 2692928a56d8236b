//! `rides-bench`, the program that `cargo xtask bench` and `cargo xtask abuse` run.

/// The allocator of rides-server. The peers in Rust are this program too, and must not differ in the allocator.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    rides_bench::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("rides-bench needs Linux: it pins programs to cores and reads /proc");
}
