//! The cost of finding a street by its name: `cargo bench -p rides-server --bench places`.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rides_server::city::City;

/// Queries, each with what it shows.
const QUERIES: [(&str, &str); 3] =
    [("a beginning", "mann"), ("no street's name", "zzzzzz"), ("a common letter", "a")];
/// A ligature that folds to eighteen letters: the longest query has a hundred of them.
const LIGATURE: &str = "\u{fdfa}";

fn places(c: &mut Criterion) {
    let city = City::embedded();
    let mut group = c.benchmark_group("finding a street");
    for (name, query) in QUERIES {
        group.bench_function(name, |bench| bench.iter(|| city.find_places(black_box(query), 10)));
    }
    let ligatures = LIGATURE.repeat(100);
    group.bench_function("a hundred ligatures", |bench| {
        bench.iter(|| city.find_places(black_box(&ligatures), 10));
    });
    group.finish();
}

criterion_group!(benches, places);
criterion_main!(benches);
