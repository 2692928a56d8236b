//! Benchmarks of the verification of a token: `cargo bench -p rides-server --bench sessions`.

use std::{hint::black_box, time::SystemTime};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use rides_server::sessions::{Sessions, TokenKeys};

fn tokens(c: &mut Criterion) {
    let sessions = Sessions::new(TokenKeys::generate());
    let now = SystemTime::now();
    let mut group = c.benchmark_group("a session's token");
    group.bench_function("shown for the first time", |bench| {
        let fresh = || sessions.sign_in_guest("Aino", None, now).token;
        bench.iter_batched(fresh, |token| sessions.verify(&token, now), BatchSize::LargeInput);
    });
    group.bench_function("shown again", |bench| {
        let token = sessions.sign_in_guest("Aino", None, now).token;
        bench.iter(|| sessions.verify(black_box(&token), now));
    });
    group.finish();
}

criterion_group!(sessions, tokens);
criterion_main!(sessions);
