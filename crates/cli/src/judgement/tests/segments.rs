//! Parts of the traffic: each judged, none forgotten, none hidden by the whole.

use super::*;

/// A part of an arm: its segment, its rows, how many of a thousand click.
type Part = (&'static str, u32, u32);

fn arm(parts: &[Part]) -> String {
    let mut text = String::from("city,user,click\n");
    for (city, n, clicks) in parts {
        for i in 0..*n {
            text += &format!("{city},{city}{},{}\n", i / 10, u8::from(i * 7919 % 1_000 < *clicks));
        }
    }
    text
}

const LINE: [&str; 4] = ["--metric", "click,direction=higher_is_better,margin=20%", "--segment", "city"];

#[track_caller]
fn check(stable: &[Part], canary: &[Part], line: &[&str], code: u8, says: &[&str]) -> Judgement {
    let judgement = Files::new(&arm(stable), &arm(canary)).judge(line).unwrap();
    assert_eq!(exit_code(judgement.verdict), code, "{}", judgement.text);
    for part in says {
        assert!(judgement.text.contains(part), "{part:?} is not in:\n{}", judgement.text);
    }
    judgement
}

const STABLE: [Part; 2] = [("tier1", 20_000, 100), ("tier2", 20_000, 100)];

/// Better for most, worse for the rest: all traffic together passes, and the judgement must fail all the same.
#[test]
fn one_part_degrades_under_a_whole_that_looks_fine() {
    let (stable, canary) =
        ([("tier1", 20_000, 100), ("tier2", 5_000, 100)], [("tier1", 8_000, 115), ("tier2", 2_000, 60)]);
    check(&stable, &canary, &LINE[..2], 0, &["pass: score 100.0"]);
    let judgement = check(
        &stable,
        &canary,
        &LINE,
        1,
        &[
            "fail: score 100.0 of 100 (pass from 95, fail up to 60); city=tier2 is worse than stable",
            "both arms hold the same mix",
            "Holm over 3 tests",
        ],
    );
    let json = &judgement.json;
    assert_eq!(json["because"][0], "city=tier2 is worse than stable");
    assert_eq!(
        (&json["segments"][0]["verdict"], &json["segments"][1]["verdict"]),
        (&"pass".into(), &"fail".into())
    );
    assert_eq!(json["metrics"][0]["verdict"], "pass");
    assert_eq!(json["metrics"][2]["correction"]["holm"]["gates"], 3);
}

/// Simpson's paradox in full: worse in every part, better as a whole, since the canary got the better part's users.
#[test]
fn a_different_mix_is_not_taken_for_a_difference() {
    let stable = [("tier1", 5_000, 200), ("tier2", 15_000, 50)];
    let worse = [("tier1", 6_000, 150), ("tier2", 2_000, 25)];
    check(&stable, &worse, &LINE[..2], 0, &["pass: score 100.0"]);
    check(
        &stable,
        &worse,
        &LINE,
        1,
        &["the arms hold different mixes", "city=tier1 is worse", "city=tier2 is worse"],
    );
    // As good in every part: the mix alone cannot fail it, nor may it pass.
    let alike = [("tier1", 6_000, 200), ("tier2", 2_000, 50)];
    check(
        &stable,
        &alike,
        &LINE,
        3,
        &["error: score 100.0", "by city, the arms hold different mixes", "city=tier1"],
    );
    let fewer = [("tier1", 500, 200), ("tier2", 8_000, 50)];
    check(&stable, &fewer, &LINE[..2], 1, &["worse than stable"]);
    check(&stable, &fewer, &LINE, 3, &["is not held against the canary"]);
}

#[test]
fn a_small_part_is_insufficient_and_said() {
    let (stable, canary) = (
        [STABLE[0], STABLE[1], ("tier3", 400, 100)],
        [("tier1", 8_000, 100), ("tier2", 8_000, 100), ("tier3", 160, 100)],
    );
    let small = ["--min-segment-n", "200"];
    let held = check(
        &stable,
        &canary,
        &[&LINE[..], &small].concat(),
        2,
        &[
            "city=tier3 has too little data",
            "160 values in the smaller arm < 200",
            "1 % of the canary's rows",
            "Holm over 3 tests",
        ],
    );
    assert_eq!(held.json["segments"].as_array().unwrap().len(), 3);
    check(
        &stable,
        &canary,
        &[&LINE[..], &small, &["--segments-must", "not-fail"]].concat(),
        0,
        &["city=tier3  insufficient", "the verdict says nothing about them"],
    );
    // A part only one arm has is a part too.
    check(&STABLE, &[("tier1", 8_000, 100), ("tier9", 20, 100)], &LINE, 3, &["city=tier9", "n 20 / 0"]);
}

#[test]
fn several_dimensions_and_their_crossing() {
    let cross = |text: String| -> String {
        let rows = text.lines().enumerate().map(|(at, row)| match at {
            0 => format!("{row},device\n"),
            _ => format!("{row},{}\n", if at % 3 == 0 { "phone" } else { "" }),
        });
        rows.collect()
    };
    let files =
        Files::new(&cross(arm(&STABLE)), &cross(arm(&[("tier1", 9_000, 100), ("tier2", 9_000, 100)])));
    let judgement = files
        .judge(&[
            "--metric",
            "click,direction=higher_is_better,margin=30%",
            "--segment",
            "city,device,city+device",
        ])
        .unwrap();
    assert_eq!(exit_code(judgement.verdict), 0, "{}", judgement.text);
    for part in [
        "by city:",
        "by device:",
        "by city+device:",
        "device=(none)",
        "city=tier1+device=phone",
        "Holm over 9 tests",
    ] {
        assert!(judgement.text.contains(part), "{part:?} is not in:\n{}", judgement.text);
    }
    assert_eq!(judgement.json["balance"].as_array().unwrap().len(), 3);
}

#[test]
fn the_canary_must_have_got_its_share() {
    let canary = [("tier1", 2_000, 100), ("tier2", 2_000, 100)];
    let share =
        |share: &'static str| [&LINE[..], &["--share", share, "--segments-must", "not-fail"]].concat();
    check(&STABLE, &canary, &share("9.1%"), 0, &["pass"]);
    check(
        &STABLE,
        &canary,
        &share("10%"),
        3,
        &["error: ", "the canary holds 9.09 % of the rows and 10 % were sent there"],
    );
    // Lost requests void also what looks like harm.
    let worse = [("tier1", 2_000, 50), ("tier2", 2_000, 50)];
    check(&STABLE, &worse, &share("10%"), 3, &["requests were lost"]);
}

#[test]
fn users_are_one_observation_each() {
    // Ten rows of a user are alike: a hundred users look like a thousand requests.
    let sticky = |unlucky: u32| {
        let rows = (0..1_000).map(|i| format!("all,u{},{}\n", i / 10, u8::from(i / 10 % 20 < unlucky)));
        format!("city,user,click\n{}", rows.collect::<String>())
    };
    let of = |line: &[&str]| {
        let files = Files::new(&sticky(1), &sticky(2));
        let metric = ["--metric", "click,direction=lower_is_better"];
        files.judge(&[&metric[..], line].concat()).unwrap()
    };
    let requests = of(&[]);
    assert_eq!(exit_code(requests.verdict), 1, "{}", requests.text);
    let users = of(&["--unit", "user"]);
    assert_eq!(exit_code(users.verdict), 2, "{}", users.text);
    assert!(
        users.text.contains("n 100 / 100") && users.text.contains("one observation for each user"),
        "{}",
        users.text
    );
}

#[test]
fn wrong_segments_name_the_remedy() {
    let rows = |n: u32| format!("id,x\n{}", (0..n).map(|i| format!("{i},{i}\n")).collect::<String>());
    let metric = ["--metric", "x,direction=lower_is_better"];
    refused(
        &rows(300),
        &rows(300),
        &[&metric[..], &["--segment", "id"]].concat(),
        &["--segment id", "300 values", "coarser"],
    );
    refused(
        &rows(30),
        &rows(30),
        &[&metric[..], &["--segment", "city"]].concat(),
        &["no column \"city\"", "id, x"],
    );
    refused(&rows(30), &rows(30), &[&metric[..], &["--share", "120%"]].concat(), &["--share"]);
    refused(
        "id,x\n,1\n",
        &rows(3),
        &[&metric[..], &["--unit", "id"]].concat(),
        &["stable:2", "\"id\" is empty"],
    );
}
