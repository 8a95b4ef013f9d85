//! What a password must be like.

/// Characters at least.
const SHORTEST: usize = 8;
/// Bytes at most: what is hashed is read into memory.
const LONGEST: usize = 4096;
/// A password that shares so much with a name is too similar to it.
const SIMILAR: f64 = 0.7;

/// What many people take.
const COMMON: &[&str] = &[
    "1q2w3e4r",
    "1q2w3e4r5t",
    "1qaz2wsx",
    "1qaz2wsx3edc",
    "abc12345",
    "abcd1234",
    "access14",
    "administrator",
    "alexander",
    "asdf1234",
    "asdfasdf",
    "asdfghjk",
    "asdfghjkl",
    "babygirl",
    "baseball",
    "basketball",
    "bigdaddy",
    "butterfly",
    "changeit",
    "changeme",
    "charlie1",
    "chocolate",
    "christian",
    "computer",
    "corvette",
    "dolphins",
    "einstein",
    "football",
    "football1",
    "iloveyou",
    "iloveyou1",
    "internet",
    "jennifer",
    "jonathan",
    "letmein1",
    "letmein123",
    "liverpool",
    "lovelove",
    "maverick",
    "mercedes",
    "michelle",
    "midnight",
    "mustang1",
    "nicholas",
    "p@ssw0rd",
    "pa$$word",
    "passw0rd",
    "password",
    "password!",
    "password1",
    "password12",
    "password123",
    "password1234",
    "princess",
    "princess1",
    "q1w2e3r4",
    "q1w2e3r4t5",
    "qazwsxedc",
    "qwer1234",
    "qwert123",
    "qwerty12",
    "qwerty123",
    "qwerty1234",
    "qwertyui",
    "qwertyuiop",
    "rootroot",
    "samantha",
    "secret123",
    "starwars",
    "sunshine",
    "sunshine1",
    "superman",
    "swordfish",
    "test1234",
    "testtest",
    "trustno1",
    "victoria",
    "welcome1",
    "welcome123",
    "whatever",
    "zaq12wsx",
    "zxcvbnm1",
];

/// What is wrong with a password of somebody who is called so; nothing, where it may be taken.
#[must_use]
pub fn faults(password: &str, called: &[(&str, &str)]) -> Vec<String> {
    if password.len() > LONGEST {
        return vec![format!(
            "This password is too long. It must contain at most {LONGEST} bytes."
        )];
    }
    let mut faults = Vec::new();
    let lower = password.to_lowercase();
    for (what, name) in called {
        if is_similar(&lower, &name.to_lowercase()) {
            faults.push(format!("The password is too similar to the {what}."));
            break;
        }
    }
    if password.chars().count() < SHORTEST {
        faults.push(format!(
            "This password is too short. It must contain at least {SHORTEST} characters."
        ));
    }
    if COMMON.contains(&lower.trim()) {
        faults.push("This password is too common.".to_owned());
    }
    if !password.is_empty() && password.chars().all(char::is_numeric) {
        faults.push("This password is entirely numeric.".to_owned());
    }
    faults
}

/// True where they share most of their characters: a name as a whole, or one of its words.
fn is_similar(password: &str, name: &str) -> bool {
    let words = name.split(|c: char| !c.is_alphanumeric() && c != '_');
    words
        .chain([name])
        .filter(|word| !word.is_empty())
        .any(|word| shared(password, word) >= SIMILAR)
}

/// How many characters two texts share, wherever they are: from 0 to 1.
fn shared(one: &str, other: &str) -> f64 {
    let (mut left, mut right): (Vec<char>, Vec<char>) =
        (one.chars().collect(), other.chars().collect());
    left.sort_unstable();
    right.sort_unstable();
    let all = left.len() + right.len();
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut same = 0_u32;
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        match a.cmp(b) {
            std::cmp::Ordering::Less => drop(left.next()),
            std::cmp::Ordering::Greater => drop(right.next()),
            std::cmp::Ordering::Equal => {
                same += 1;
                left.next();
                right.next();
            }
        }
    }
    let all = u32::try_from(all).unwrap_or(u32::MAX).max(1);
    f64::from(2 * same) / f64::from(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_named() {
        let called = [
            ("username", "jane.winter"),
            ("email address", "jw@example.org"),
        ];
        for (password, fault) in [
            ("Winter12", "too similar to the username"),
            ("jane.winter", "too similar to the username"),
            ("example.org1", "too similar to the email address"),
            ("short", "too short"),
            ("Password1", "too common"),
            ("93847561029", "entirely numeric"),
            (&*"long".repeat(1025), "too long"),
        ] {
            let found = faults(password, &called).join(" ");
            assert!(found.contains(fault), "{password}: {found}");
        }
        assert_eq!(faults("12345", &called).len(), 2);
        for good in [
            "a fine long sentence",
            "Yeech6ba",
            "test-password",
            "日本語のパスワード",
        ] {
            assert_eq!(faults(good, &called), Vec::<String>::new(), "{good}");
        }
    }
}
