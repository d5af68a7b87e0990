//! Larder beside its peers: `make bench-compare` in the repository's root, or `larder-compare --help`.
//!
//! A parent (`run`) has child processes do the work (`work`) on one engine each (`engine`). What they measure is kept
//! (`results`) and made into a document with drawings (`render`, `goals`, `svg`).

mod data;
mod engine;
mod footprint;
mod goals;
mod latency;
mod render;
mod results;
mod run;
mod svg;
mod work;

use results::{Measured, Results};
use run::Plan;
use std::path::{Path, PathBuf};
use std::time::Duration;
use work::Child;

const HELP: &str = "larder-compare [--keys N,N,…] [--rounds N] [--engines A,B,…] [--only PART,…] [--seconds S]
               [--directory D] [--results D]
larder-compare render RESULTS DOCUMENT
parts: unsynced large durable open latency
A row lasts --seconds at most (8), durable rows a quarter of it. --directory is on the disk to be measured, not on
tmpfs; ten million keys take up to 8 GB there. RESULTS is a directory of JSON files, one a part and key count.";

const PARTS: [&str; 5] = ["unsynced", "large", "durable", "open", "latency"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("child") => child(&arguments[1..]),
        Some("render") if arguments.len() == 3 => {
            render::write(&Results::load(Path::new(&arguments[1])), Path::new(&arguments[2]));
        }
        Some("--help" | "render") => println!("{HELP}"),
        _ => match plan(&arguments) {
            Ok(plan) if plan.run() => {}
            Ok(_) => std::process::exit(1),
            Err(what) => {
                eprintln!("{what}\n{HELP}");
                std::process::exit(2);
            }
        },
    }
}

fn plan(arguments: &[String]) -> Result<Plan, String> {
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let mut plan = Plan {
        keys: vec![1_000_000],
        rounds: 3,
        engines: names(&engine::NAMES),
        parts: names(&PARTS),
        seconds: 8.0,
        directory: std::env::temp_dir(),
        results: PathBuf::from("benchmarks"),
    };
    let known = |value: &str, all: &[&str]| -> Result<Vec<String>, String> {
        let chosen: Vec<_> = value.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        match chosen.iter().find(|name| !all.contains(&name.as_str())) {
            Some(name) => Err(format!("{name} is not one of {}", all.join(", "))),
            None => Ok(chosen),
        }
    };
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} needs a value", pair[0])) };
        let number = |value: &str| match value.replace('_', "").parse::<u64>() {
            Ok(0) | Err(_) => Err(format!("{name} {value}: a number from 1 on is wanted")),
            Ok(number) => Ok(number),
        };
        match name.as_str() {
            "--keys" => {
                plan.keys = value.split([',', ' ']).filter(|n| !n.is_empty()).map(number).collect::<Result<_, _>>()?;
            }
            "--rounds" => plan.rounds = number(value)?,
            "--engines" => plan.engines = known(value, &engine::NAMES)?,
            "--only" => plan.parts = known(value, &PARTS)?,
            "--seconds" => plan.seconds = value.parse().map_err(|error| format!("{name} {value}: {error}"))?,
            "--directory" => plan.directory = PathBuf::from(value),
            "--results" => plan.results = PathBuf::from(value),
            other => return Err(format!("{other} is no option")),
        }
    }
    Ok(plan)
}

fn child(arguments: &[String]) {
    let [what, engine, keys, round, seconds, directory] = arguments else { panic!("{HELP}") };
    let mut report = |measured: Measured| println!("{}", serde_json::to_string(&measured).unwrap());
    let mut child = Child {
        engine,
        keys: keys.parse().unwrap(),
        round: round.parse().unwrap(),
        directory: Path::new(directory),
        row_time_max: Duration::from_secs_f64(seconds.parse().unwrap()),
        report: &mut report,
    };
    match what.split_once(':') {
        Some(("durable", threads)) => child.durable(threads.parse().unwrap()),
        Some(("leave", how)) => child.leave(how == "closed"),
        Some(("open", how)) => child.open(if how == "closed" { "open after a close" } else { "open after a kill" }),
        _ if what == "unsynced" => child.unsynced(),
        _ if what == "large" => child.large(),
        _ if what == "latency" => child.latencies(),
        _ => panic!("{HELP}"),
    }
    use std::io::Write;
    std::io::stdout().flush().unwrap();
    // Whatever an engine would do at its end is not part of any row.
    std::process::exit(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_understood_or_refused() {
        let plan = |text: &str| plan(&text.split('|').map(str::to_owned).collect::<Vec<_>>());
        let good = plan("--keys|10_000 20000|--only|durable|--engines|larder,map|--rounds|2").unwrap();
        assert_eq!((good.keys, good.parts, good.rounds), (vec![10_000, 20_000], vec!["durable".to_owned()], 2));
        for bad in ["--keys|many", "--keys|0", "--only|everything", "--engines|oracle", "--rounds", "--colour|red"] {
            assert!(plan(bad).is_err(), "{bad}");
        }
    }
}
