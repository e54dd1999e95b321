//! Points, distances and searches against the GEO commands.

use crate::{
    cmd,
    redis::{Redis, Reply},
};
use holdfast_storage::geo::{LATITUDE_LIMIT, Point, Shape, Unit, format_distance};
use holdfast_storage::{geosearch, longdouble, numeric};
use rand::{Rng, SeedableRng, rngs::SmallRng};

fn point(rng: &mut SmallRng) -> Point {
    let edges = [-180.0, 0.0, 180.0, 179.999_999, 90.0];
    let longitude = if rng.random_range(0..20) == 0 {
        edges[rng.random_range(0..5)]
    } else {
        rng.random_range(-180.0..180.0)
    };
    let edges = [-LATITUDE_LIMIT, 0.0, LATITUDE_LIMIT, 85.0, -66.5];
    let latitude = if rng.random_range(0..20) == 0 {
        edges[rng.random_range(0..5)]
    } else {
        rng.random_range(-85.05..85.05)
    };
    Point { longitude, latitude }
}

fn text(value: f64) -> Vec<u8> {
    format!("{value:e}").into_bytes()
}

fn add(redis: &mut Redis, member: &str, point: Point) {
    redis
        .call(&cmd![
            "GEOADD",
            "g",
            text(point.longitude),
            text(point.latitude),
            member
        ])
        .int();
}

#[test]
#[ignore = "needs redis-server"]
fn points_are_stored_and_written_alike() {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(13);
    for _ in 0..10_000 {
        let (a, b) = (point(&mut rng), point(&mut rng));
        add(&mut redis, "a", a);
        add(&mut redis, "b", b);
        let score = redis.call(&cmd!["ZSCORE", "g", "a"]).bytes();
        assert_eq!(numeric::format_f64_17g(a.score()), score, "{a:?}");
        let (a, b) = (Point::from_score(a.score()), Point::from_score(b.score()));
        let theirs = redis.call(&cmd!["GEOPOS", "g", "a"]);
        let coordinate = |value| Reply::Bulk(longdouble::format_f64_human(value));
        let ours = Reply::Array(vec![coordinate(a.longitude), coordinate(a.latitude)]);
        assert_eq!(Reply::Array(vec![ours]), theirs, "{a:?}");
        let theirs = redis.call(&cmd!["GEOHASH", "g", "a"]).array().remove(0).bytes();
        assert_eq!(a.geohash().to_vec(), theirs, "{a:?}");
        for unit in ["m", "km", "ft", "mi"] {
            let theirs = redis.call(&cmd!["GEODIST", "g", "a", "b", unit]).text();
            let metres = Unit::parse(unit.as_bytes()).unwrap().metres();
            assert_eq!(format_distance(a.distance_m(b) / metres), theirs, "{a:?} {b:?}");
        }
    }
}

/// Searches are compared member by member, in the order of the reply.
fn searches(seed: u64, cluster: Option<(Point, f64)>) {
    let mut redis = Redis::start(&[]);
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut members: Vec<(f64, Vec<u8>)> = Vec::new();
    for n in 0..1500 {
        let point = match cluster {
            None => point(&mut rng),
            Some((near, spread)) => Point {
                longitude: (near.longitude + rng.random_range(-spread..spread)).clamp(-180.0, 180.0),
                latitude: (near.latitude + rng.random_range(-spread..spread))
                    .clamp(-LATITUDE_LIMIT, LATITUDE_LIMIT),
            },
        };
        add(&mut redis, &n.to_string(), point);
        members.push((point.score(), n.to_string().into_bytes()));
    }
    members.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    for _ in 0..1500 {
        let centre = Point::from_score(members[rng.random_range(0..members.len())].0);
        let centre = if rng.random() { centre } else { point(&mut rng) };
        let mut length = || (rng.random::<f64>() * 17.0).exp2() * 200.0;
        let (a, b) = (length(), length());
        let by = if rng.random() {
            cmd!["BYRADIUS", text(a), "m"].to_vec()
        } else {
            cmd!["BYBOX", text(a), text(b), "m"].to_vec()
        };
        let shape = match by.len() {
            3 => Shape::Radius { metres: a },
            _ => Shape::Box {
                width_m: a,
                height_m: b,
            },
        };
        let from = cmd![
            "GEOSEARCH",
            "g",
            "FROMLONLAT",
            text(centre.longitude),
            text(centre.latitude)
        ];
        let theirs = redis.call(&[&from[..], &by, &cmd!["WITHDIST"]].concat());
        let ours = geosearch::ranges(shape, centre).into_iter().flat_map(|range| {
            let first = members.partition_point(|member| member.0 < range.min);
            let found = members[first..]
                .iter()
                .take_while(move |member| member.0 < range.max);
            found.filter_map(|(score, name)| {
                let distance = shape.distance_within(centre, Point::from_score(*score))?;
                Some((
                    String::from_utf8_lossy(name).into_owned(),
                    format_distance(distance),
                ))
            })
        });
        let theirs = theirs.array().into_iter().map(|item| {
            let mut item = item.array();
            let distance = item.remove(1).text();
            (item.remove(0).text(), distance)
        });
        let (ours, theirs): (Vec<_>, Vec<_>) = (ours.collect(), theirs.collect());
        let differ = ours
            .iter()
            .zip(&theirs)
            .position(|(a, b)| a != b)
            .unwrap_or(ours.len().min(theirs.len()));
        let context = format!(
            "{shape:?} around {centre:?}: {} of {}, from {differ}",
            ours.len(),
            theirs.len()
        );
        assert_eq!(ours.get(differ), theirs.get(differ), "{context}");
    }
}

#[test]
#[ignore = "needs redis-server"]
fn searches_over_the_world() {
    searches(14, None);
}

#[test]
#[ignore = "needs redis-server"]
fn searches_in_a_town() {
    searches(
        15,
        Some((
            Point {
                longitude: 13.4,
                latitude: 52.5,
            },
            0.2,
        )),
    );
}

#[test]
#[ignore = "needs redis-server"]
fn searches_near_a_pole_and_at_the_date_line() {
    searches(
        16,
        Some((
            Point {
                longitude: -20.0,
                latitude: -83.0,
            },
            5.0,
        )),
    );
    searches(
        17,
        Some((
            Point {
                longitude: 179.0,
                latitude: 10.0,
            },
            3.0,
        )),
    );
    searches(
        18,
        Some((
            Point {
                longitude: 0.0,
                latitude: 67.0,
            },
            3.0,
        )),
    );
}
