use evenkeel_connect::*;
use std::path::Path;
use std::time::Instant;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let path = Path::new(&args[1]);
    let options = FileOptions {
        ..Default::default()
    };
    let file = SourceFile::open(path, &options).unwrap();
    let t = Instant::now();
    let d = file.digest(&mut |_| {}).unwrap();
    println!(
        "digest {:?} {} MB {:?}",
        &d[..4],
        file.bytes() / 1_000_000,
        t.elapsed()
    );
    let t = Instant::now();
    let s = file.infer(&options, None).unwrap();
    println!(
        "infer {:?}: rows {} rejected {} skipped {:?}",
        t.elapsed(),
        s.rows,
        s.rejected,
        s.skipped
    );
    for c in &s.columns {
        println!(
            "  {} {} nulls {} unique {:?} whole {} ex {:?}",
            c.field.name, c.field.data_type, c.nulls, c.unique, c.whole, c.example
        );
    }
    println!("  time {:?}\n  id {:?}", s.event_time, s.event_id);
    let specs: Vec<ColumnSpec> = s
        .columns
        .iter()
        .map(|c| ColumnSpec::new(&c.field.name, c.field.data_type.clone()))
        .collect();
    let t = Instant::now();
    let mut rows = 0;
    let mut reader = file.read(&specs, &options).unwrap();
    for b in &mut reader {
        let b = b.unwrap();
        rows += b.rows.len();
        for r in b.rejected.iter().take(3) {
            println!("{r:?}");
        }
    }
    let e = t.elapsed();
    println!(
        "decode {} rows x {} cols in {:?}: {:.2} M rows/s, {:.1} M values/s  {:?}",
        rows,
        specs.len(),
        e,
        rows as f64 / e.as_secs_f64() / 1e6,
        (rows * specs.len()) as f64 / e.as_secs_f64() / 1e6,
        reader.progress()
    );
    if args.len() > 2 {
        let t = Instant::now();
        let table = Table::read(path).unwrap();
        println!("table read {:?} rows {}", t.elapsed(), table.len());
        let t = Instant::now();
        let d1 = table.digest().unwrap();
        println!("digest {:?}", t.elapsed());
        for ext in ["parquet", "csv", "arrow", "arrows"] {
            let out = format!("{}.{ext}", args[2]);
            let t = Instant::now();
            table.write(Path::new(&out)).unwrap();
            let w = t.elapsed();
            let t = Instant::now();
            let fields = table
                .fields()
                .into_iter()
                .filter_map(|(n, t)| match t {
                    TableType::Known(t) => Some(evenkeel_types::Field::new(n, t)),
                    _ => None,
                })
                .collect();
            let back = Table::read_with(
                Path::new(&out),
                &TableOptions {
                    fields,
                    ..Default::default()
                },
            )
            .unwrap();
            let r = t.elapsed();
            println!(
                "{ext}: write {w:?} read {r:?} bytes {} digest same {}",
                std::fs::metadata(&out).unwrap().len(),
                back.digest().unwrap() == d1
            );
        }
    }
}
