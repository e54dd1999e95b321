//! Replies, errors and effects of the family. The replies were recorded from redis-server 7.0.15.

use crate::testing::Fixture;

#[test]
fn points_and_searches() {
    let mut f = Fixture::new();
    f.check(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2"),
            ("GEOADD g CH 13.361389 38.115556 Palermo 12.758489 38.788135 edge1", ":1"),
            ("GEOADD g NX 1 1 Palermo", ":0"),
            ("GEOADD g XX CH 17.24151 38.788135 edge2", ":0"),
            ("GEOADD g 17.24151 38.788135 edge2", ":1"),
            ("ZSCORE g Palermo", "$16 3479099956230698"),
            ("GEOADD g NX XX 1 1 a", "-ERR syntax error"),
            ("GEOADD g 1 1 a 2", "-ERR syntax error"),
            ("GEOADD g NX CH CH", "-ERR syntax error"),
            ("GEOADD g 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000"),
            ("GEOADD g 1 86 a", "-ERR invalid longitude,latitude pair 1.000000,86.000000"),
            ("GEOADD g x 1 a", "-ERR value is not a valid float"),
            ("GEOADD g 1 nan a", "-ERR value is not a valid float"),
            ("GEOPOS g Palermo missing", "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1"),
            ("GEOPOS missing a", "*1 *-1"),
            ("GEOPOS g", "*0"),
            ("GEODIST g Palermo Catania", "$11 166274.1516"),
            ("GEODIST g Palermo Catania km", "$8 166.2742"),
            ("GEODIST g Palermo Catania MI", "$8 103.3182"),
            ("GEODIST g Palermo missing", "$-1"),
            ("GEODIST missing a b", "$-1"),
            ("GEODIST g Palermo Catania x", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEODIST g Palermo Catania m m", "-ERR syntax error"),
            ("GEOHASH g Palermo missing Catania", "*3 $11 sqc8b49rny0 $-1 $11 sqdtr74hyu0"),
            ("GEOHASH missing a", "*1 $-1"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC", "*2 $7 Catania $7 Palermo"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km DESC WITHDIST", "*2 *2 $7 Palermo $8 190.4424 *2 $7 Catania $7 56.4413"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYBOX 400 400 km ASC WITHCOORD WITHDIST WITHHASH", "*4 *4 $7 Catania $7 56.4413 :3479447370796909 *2 $20 15.08726745843887329 $20 37.50266842333162032 *4 $7 Palermo $8 190.4424 :3479099956230698 *2 $20 13.36138933897018433 $20 38.11555639549629859 *4 $5 edge2 $8 279.7403 :3481342659049484 *2 $20 17.24151045083999634 $20 38.78813451624225195 *4 $5 edge1 $8 279.7405 :3479273021651468 *2 $19 12.7584877610206604 $20 38.78813451624225195"),
            ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT 1", "*1 $7 Palermo"),
            ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 200 km COUNT 2 DESC", "*2 $7 Catania $5 edge1"),
            ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 km COUNT 2 ANY", "*2 $7 Palermo $5 edge1"),
            ("GEOSEARCH g FROMMEMBER Palermo BYRADIUS 500 km", "*4 $7 Palermo $5 edge1 $7 Catania $5 edge2"),
            ("GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1 m", "*0"),
            ("GEOSEARCH missing FROMMEMBER x BYRADIUS 1 m", "*0"),
            ("GEOSEARCH missing FROMMEMBER x BYBOX x 1 m", "-ERR need numeric width"),
            ("GEOSEARCH missing FROMMEMBER x BYBOX 1 x m", "-ERR need numeric height"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYBOX -1 1 m", "-ERR height or width cannot be negative"),
            ("GEOSEARCH g FROMMEMBER x BYRADIUS 1 m", "-ERR could not decode requested zset member"),
            ("GEOSEARCH g BYRADIUS 1 m ASC DESC", "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for GEOSEARCH"),
            ("GeoSearch g FROMLONLAT 1 1 ASC DESC WITHDIST", "-ERR exactly one of BYRADIUS and BYBOX can be specified for GeoSearch"),
            ("GEOSEARCH g FROMLONLAT 1 1 FROMMEMBER x BYRADIUS 1 m", "-ERR syntax error"),
            ("GEOSEARCH g FROMMEMBER Palermo FROMLONLAT 1 1 BYRADIUS 1 m", "-ERR syntax error"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m BYBOX 1 1 m", "-ERR syntax error"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m STOREDIST", "-ERR syntax error"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS x m", "-ERR need numeric radius"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS -1 m", "-ERR radius cannot be negative"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 x", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT 0", "-ERR COUNT must be > 0"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m COUNT x", "-ERR value is not an integer or out of range"),
            ("GEOSEARCH g FROMLONLAT 1 1 BYRADIUS 1 m ANY", "-ERR the ANY argument requires COUNT argument"),
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km", ":2"),
            ("ZRANGE d 0 -1 WITHSCORES", "*4 $7 Palermo $16 3479099956230698 $7 Catania $16 3479447370796909"),
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km STOREDIST COUNT 1", ":1"),
            ("ZRANGE d 0 -1 WITHSCORES", "*2 $7 Catania $18 56.441257870158204"),
            ("GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km WITHDIST", "-ERR GEOSEARCHSTORE is not compatible with WITHDIST, WITHHASH and WITHCOORD options"),
            ("GEOSEARCHSTORE d missing FROMLONLAT 15 37 BYRADIUS 200 km", ":0"),
            ("EXISTS d", ":0"),
            ("GEORADIUS g 15 37 200 km", "*2 $7 Palermo $7 Catania"),
            ("GEORADIUS g 15 37 200 km WITHDIST COUNT 1", "*1 *2 $7 Catania $7 56.4413"),
            ("GEORADIUS g 15 37 200 km STORE d", ":2"),
            ("GEORADIUS g 15 37 200 km STOREDIST d", ":2"),
            ("ZRANGE d 0 -1 WITHSCORES", "*4 $7 Catania $18 56.441257870158204 $7 Palermo $18 190.44242984775784"),
            ("GEORADIUS g 15 37 1 m STORE d", ":0"),
            ("EXISTS d", ":0"),
            ("GEORADIUS g 15 37 200 km STORE d WITHDIST", "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options"),
            ("GEORADIUS g 181 37 x km", "-ERR invalid longitude,latitude pair 181.000000,37.000000"),
            ("GEORADIUS g 15 37 x km", "-ERR need numeric radius"),
            ("GEORADIUS_RO g 15 37 200 km DESC", "*2 $7 Palermo $7 Catania"),
            ("GEORADIUS_RO g 15 37 200 km STORE d", "-ERR syntax error"),
            ("GEORADIUSBYMEMBER g Palermo 200 km", "*3 $7 Palermo $5 edge1 $7 Catania"),
            ("GEORADIUSBYMEMBER g missing 200 km", "-ERR could not decode requested zset member"),
            ("GEORADIUSBYMEMBER missing x x x", "*0"),
            ("GEORADIUSBYMEMBER missing x x x FOO", "-ERR syntax error"),
            ("GEORADIUSBYMEMBER_RO g Palermo 200 km ASC WITHHASH", "*3 *2 $7 Palermo :3479099956230698 *2 $5 edge1 :3479273021651468 *2 $7 Catania :3479447370796909"),
            ("GEORADIUSBYMEMBER_RO g Palermo 200 km STOREDIST d", "-ERR syntax error"),
            ("SET s v", "+OK"),
            ("GEOADD s 181 1 a", "-ERR invalid longitude,latitude pair 181.000000,1.000000"),
            ("GEOADD s 1 1 a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEOPOS s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEODIST s a b x", "-ERR unsupported unit provided. please use M, KM, FT, MI"),
            ("GEODIST s a b", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEOHASH s a", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEOSEARCH s FOO FOO FOO FOO FOO", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
            ("GEORADIUS s x x x x", "-WRONGTYPE Operation against a key holding the wrong kind of value"),
    ]);
}

#[test]
fn shapes_in_resp3() {
    let mut f = Fixture::resp3();
    f.check(&[
            ("GEOADD g 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2"),
            ("GEOPOS g Palermo missing", "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _"),
            ("GEODIST g Palermo Catania", "$11 166274.1516"),
            ("GEOHASH g Palermo missing", "*2 $11 sqc8b49rny0 _"),
            ("GEOSEARCH g FROMLONLAT 15 37 BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH", "*2 *4 $7 Catania $7 56.4413 :3479447370796909 *2 ,15.08726745843887329 ,37.50266842333162032 *4 $7 Palermo $8 190.4424 :3479099956230698 *2 ,13.36138933897018433 ,38.11555639549629859"),
    ]);
}

#[test]
fn effects() {
    let mut f = Fixture::new();
    for (line, log, events, dirty) in [
        (
            "geoadd g nx 13.361389 38.115556 Palermo 15.087269 37.502669 Catania",
            "ZADD g nx 3479099956230698 Palermo 3479447370796909 Catania",
            "zadd g",
            2,
        ),
        ("GEOADD g NX 1 1 Palermo", "", "", 0),
        ("GEORADIUS g 15 37 200 km", "", "", 0),
        (
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km",
            "GEOSEARCHSTORE d g FROMLONLAT 15 37 BYRADIUS 200 km",
            "geosearchstore d",
            2,
        ),
        (
            "GEORADIUS g 15 37 200 km STORE d",
            "GEORADIUS g 15 37 200 km STORE d",
            "georadiusstore d",
            2,
        ),
        (
            "GEORADIUS g 15 37 1 m STORE d",
            "GEORADIUS g 15 37 1 m STORE d",
            "del d",
            1,
        ),
        ("GEORADIUS g 15 37 1 m STORE d", "", "", 0),
    ] {
        f.run(line);
        assert_eq!(
            (f.log().as_str(), f.events().as_str(), f.dirty),
            (log, events, dirty),
            "{line}"
        );
    }
}

/// The example of Valkey's documentation, and what does not go together.
#[test]
fn polygons() {
    let mut f = Fixture::new();
    let polygon = "BYPOLYGON 5 12.41098696654226 38.05033923003755 15.107936245794182 38.00616649901906 \
                   18.148439288534455 38.63804787603499 17.80831874257693 39.50316813110968 \
                   12.458468633214036 38.57719533463012";
    f.run("GEOADD Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania");
    f.run("GEOADD Sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2");
    let far = "BYPOLYGON 3 179 -85 180 -85 180 -84";
    for (rest, reply) in [
        (format!("{polygon} ASC"), "*2 $7 Palermo $5 edge2"),
        (
            format!("{polygon} ASC WITHCOORD WITHDIST"),
            "*2 *3 $7 Palermo $11 166482.0159 *2 $20 13.36138933897018433 $20 38.11555639549629859 \
             *3 $5 edge2 $11 180861.7725 *2 $20 17.24151045083999634 $20 38.78813451624225195",
        ),
        (format!("DESC COUNT 1 {polygon}"), "*1 $5 edge2"),
        (far.to_owned(), "*0"),
        (format!("{far} FROMLONLAT 1 1"), "-ERR syntax error"),
        (format!("FROMMEMBER Palermo {far}"), "-ERR syntax error"),
        (format!("{far} BYRADIUS 1 m"), "-ERR syntax error"),
        (format!("{far} {far}"), "-ERR syntax error"),
        (
            "BYPOLYGON 2 1 1 2 2 3 3".to_owned(),
            "-ERR a polygon needs at least 3 vertices",
        ),
        (
            "BYPOLYGON -1 1 1 2 2 3 3".to_owned(),
            "-ERR a polygon needs at least 3 vertices",
        ),
        ("BYPOLYGON 4 1 1 2 2 3 3".to_owned(), "-ERR syntax error"),
        (
            "BYPOLYGON 3 1 1 2 200 3 3".to_owned(),
            "-ERR invalid longitude,latitude pair 2.000000,200.000000",
        ),
        (
            "BYPOLYGON x 1 1 2 2 3 3".to_owned(),
            "-ERR value is not an integer or out of range",
        ),
    ] {
        assert_eq!(f.run(&format!("GEOSEARCH Sicily {rest}")), reply, "{rest}");
    }
    assert_eq!(
        f.run(&format!("GEOSEARCHSTORE d Sicily {polygon} STOREDIST")),
        ":2"
    );
    assert_eq!(f.run("ZRANGE d 0 -1"), "*2 $7 Palermo $5 edge2");
}
