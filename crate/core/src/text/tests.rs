use super::*;

fn found(data: impl AsRef<[u8]>, content_type: Option<&str>) -> (&'static str, Source) {
    let found = sniff(data.as_ref(), content_type);
    (found.encoding.name(), found.source)
}

fn text(data: &[u8], label: &str) -> String {
    utf8(decode(data, known(label.as_bytes()).unwrap()))
}

fn utf8(text: Text<'_>) -> String {
    match text {
        Text::Latin1(bytes) => encoding_rs::mem::decode_latin1(bytes).into_owned(),
        Text::Utf16(units) => String::from_utf16_lossy(&units),
    }
}

// THR-233
#[test]
fn a_mark_goes_before_the_header_and_the_header_before_the_meta_element() {
    let meta = "<meta charset=koi8-r>";
    let html = Some("text/html");
    let latin1 = Some("text/html; charset=latin1");
    assert_eq!(found(format!("\u{feff}{meta}"), latin1), ("UTF-8", Source::Mark));
    assert_eq!(found(b"\xff\xfe<\0", latin1), ("UTF-16LE", Source::Mark));
    assert_eq!(found(b"\xfe\xff\0<", latin1), ("UTF-16BE", Source::Mark));
    assert_eq!(found(meta, latin1), ("windows-1252", Source::Header));
    assert_eq!(found(meta, html), ("KOI8-R", Source::Meta));
    assert_eq!(found("", html), ("UTF-8", Source::Default));
    // Half a mark is none.
    for half in [&b"\xef\xbb"[..], b"\xff", b"\xfe", b""] {
        assert_eq!(found(half, None), ("UTF-8", Source::Default));
    }
}

#[test]
fn the_type_alone_decides_when_it_names_a_charset_or_is_not_html() {
    let alone = |content_type| sniff(b"<meta charset=latin1>", content_type).by_type_alone;
    assert!(alone(Some("text/html; charset=utf-8")));
    assert!(alone(Some("application/json")));
    assert!(!alone(Some("text/html")));
    assert!(!alone(Some("text/html; charset=nonsense")));
    assert!(!alone(None));
    assert!(!sniff(b"\xef\xbb\xbf", Some("text/plain; charset=latin1")).by_type_alone);
}

// THR-233
#[test]
fn the_header_names_a_charset_in_many_ways_and_an_unknown_label_is_passed_over() {
    for (content_type, expected) in [
        ("text/plain; charset=utf-8", Some("UTF-8")),
        ("text/plain;charset=UTF8", Some("UTF-8")),
        ("text/plain ; ChArSeT = Latin1 ; x=y", Some("windows-1252")),
        ("text/plain; charset=\"shift_jis\"", Some("Shift_JIS")),
        ("text/plain; charset=\" gbk\t\"; x", Some("GBK")),
        ("text/plain; charset=\"gbk", Some("GBK")),
        ("text/plain; format=flowed; charset=x-sjis", Some("Shift_JIS")),
        ("; charset=koi8-r", Some("KOI8-R")),
        ("text/plain; charset=nonsense; charset=koi8-r", Some("KOI8-R")),
        ("text/plain; charset=koi8-r; charset=latin1", Some("KOI8-R")),
        ("text/plain; charset=koi8-r, text/html; charset=latin1", Some("KOI8-R")),
        ("text/plain; charset=koi8-r x", Some("KOI8-R")),
        ("text/plain; x=\"; charset=koi8-r\"", None),
        ("text/plain; x=\"\\\"; charset=koi8-r\"", None),
        ("text/plain; x=\"\"; charset=koi8-r", Some("KOI8-R")),
        ("text/plain; xcharset=koi8-r", None),
        ("text/plain; charset", None),
        ("text/plain; charset=", None),
        ("text/plain; charset==koi8-r", None),
        ("text/plain; charset='koi8-r'", None),
        ("text/plain charset=koi8-r", None),
        ("text/plain; charset=utf-7", None),
        ("text/plain; charset=replacement", None),
        ("text/plain; charset=hz-gb-2312", None),
        ("text/plain; charset=\u{e4}\u{f6}\u{fc}", None),
        ("text/plain; charset=utf\u{2011}8", None),
        ("", None),
        (";", None),
        (";;;=;=\"", None),
    ] {
        assert_eq!(declared(content_type).map(Encoding::name), expected, "{content_type}");
    }
}

#[test]
fn meta_elements_count_in_html_and_in_what_has_no_type() {
    let is_read = |content_type| found("<meta charset=koi8-r>", content_type).1 == Source::Meta;
    for content_type in ["text/html", " TEXT/HTML ;x=y", "application/xhtml+xml", "text/html, text/html", "", " "] {
        assert!(is_read(Some(content_type)), "{content_type}");
    }
    assert!(is_read(None));
    for content_type in ["text/plain", "text/htmlx", "application/xml", "text", "x text/html"] {
        assert!(!is_read(Some(content_type)), "{content_type}");
    }
}

// THR-233
#[test]
fn the_prescan_reads_meta_elements_as_the_standard_says() {
    for (page, expected) in [
        ("<meta charset=koi8-r>", Some("KOI8-R")),
        ("<META CHARSET = 'KOI8-R' >", Some("KOI8-R")),
        ("<meta/charset=\"koi8-r\"/>", Some("KOI8-R")),
        ("<meta\ncharset\n=\nkoi8-r\n>", Some("KOI8-R")),
        ("<!doctype html><html lang=x><meta name=a content=b><meta charset=koi8-r>", Some("KOI8-R")),
        ("<meta charset=utf-16>", Some("UTF-8")),
        ("<meta charset=utf-16be>", Some("UTF-8")),
        ("<meta charset=x-user-defined>", Some("windows-1252")),
        ("<meta charset=nonsense><meta charset=koi8-r>", Some("KOI8-R")),
        ("<meta charset=utf-7><meta charset=koi8-r>", Some("KOI8-R")),
        ("<meta charset=koi8-r charset=latin1>", Some("KOI8-R")),
        ("<meta =charset=koi8-r charset=latin1>", Some("windows-1252")),
        ("<meta http-equiv=content-type content='text/html; charset=koi8-r'>", Some("KOI8-R")),
        ("<meta content='text/html;CHARSET = \"koi8-r\"' http-equiv=\"Content-Type\">", Some("KOI8-R")),
        ("<meta http-equiv=content-type content='charset charset=koi8-r;x'>", Some("KOI8-R")),
        ("<meta http-equiv=content-type content='charset=\"koi8-r'>", None),
        ("<meta http-equiv=content-type content='charset='>", None),
        ("<meta http-equiv=refresh content='charset=koi8-r'>", None),
        ("<meta content='charset=koi8-r'>", None),
        ("<meta content='charset=koi8-r' http-equiv=content-type charset=latin1>", Some("windows-1252")),
        ("<meta charset=nonsense content='charset=koi8-r' http-equiv=content-type>", None),
        ("<metadata charset=koi8-r>", None),
        ("<meta>", None),
        ("<meta charset>", None),
        ("<meta charset=koi8-r", None),
        ("<meta charset=koi8-r ", None),
        ("<meta charset='koi8-r>", None),
        ("<meta charset='koi8-r'", None),
        ("< meta charset=koi8-r>", None),
        ("</meta charset=koi8-r>", None),
        ("<!-- <meta charset=koi8-r> -->", None),
        ("<!-- <meta charset=latin1> --><meta charset=koi8-r>", Some("KOI8-R")),
        ("<!--><meta charset=koi8-r>", Some("KOI8-R")),
        ("<!---><meta charset=koi8-r>", Some("KOI8-R")),
        ("<!-- <meta charset=koi8-r>", None),
        ("<!x <meta charset=latin1><meta charset=koi8-r>", Some("KOI8-R")),
        ("<?x <meta charset=latin1><meta charset=koi8-r>", Some("KOI8-R")),
        ("</ <meta charset=latin1><meta charset=koi8-r>", Some("KOI8-R")),
        ("<a title='<meta charset=latin1>'><meta charset=koi8-r>", Some("KOI8-R")),
        ("<a title=\"<meta charset=koi8-r>", None),
        ("<a<meta charset=koi8-r>", None),
        ("<<meta charset=koi8-r>", Some("KOI8-R")),
        ("<?xml version='1.0' encoding='koi8-r'?>", None),
        ("<", None),
        ("<!", None),
        ("<!-", None),
        ("<!--", None),
        ("<m", None),
        ("<meta", None),
        ("<meta ", None),
        ("<meta/", None),
        ("</", None),
        ("</m", None),
    ] {
        let (name, source) = found(page, Some("text/html"));
        let expected = expected.map_or(("UTF-8", Source::Default), |name| (name, Source::Meta));
        assert_eq!((name, source), expected, "{page}");
    }
}

// THR-233
#[test]
fn a_meta_element_counts_if_it_ends_within_1024_bytes_and_no_head_however_cut_is_read_beyond_its_end() {
    let meta = "<meta charset=koi8-r>";
    let padded = |length: usize| format!("{}{meta}", " ".repeat(length - meta.len()));
    assert_eq!(found(padded(1024), None), ("KOI8-R", Source::Meta));
    assert_eq!(found(padded(1025), None), ("UTF-8", Source::Default));
    let page = "<!--x--><a b='c' d=e/><?x></z><meta http-equiv=content-type content=\"text/html; charset='koi8-r'\">";
    for end in 0..=page.len() {
        let source = found(&page[..end], None).1;
        assert_eq!(source == Source::Meta, end == page.len(), "{end}");
    }
}

// THR-233
#[test]
fn the_labels_of_every_encoding_are_known_in_any_case_and_with_white_space() {
    for (label, name) in LABELS {
        let spaced = format!("\t {}\r\n", label.to_ascii_uppercase());
        for form in [(*label).to_owned(), spaced] {
            assert_eq!(known(form.as_bytes()).map(Encoding::name), Some(*name), "{form:?}");
        }
        let name = known(label.as_bytes()).unwrap().name();
        assert_eq!(known(name.as_bytes()).map(Encoding::name), Some(name));
    }
    for label in ["", " ", "utf-7", "utf_8", "u t f-8", "utf-8\0", "\u{a0}utf-8", "cp437", "utf-32", "cesu-8", "ebcdic"]
    {
        assert_eq!(known(label.as_bytes()), None, "{label:?}");
    }
    for label in ["replacement", "hz-gb-2312", "iso-2022-kr", "iso-2022-cn", "iso-2022-cn-ext", "csiso2022kr"] {
        assert_eq!(known(label.as_bytes()), None, "{label:?}");
    }
    assert_eq!(known("a".repeat(1_000_000).as_bytes()), None);
}

// THR-233
#[test]
fn malformed_and_cut_sequences_become_replacement_characters() {
    for (label, bytes, expected) in [
        ("utf-8", &b"a\xffb"[..], "a\u{fffd}b"),
        ("utf-8", b"\xe2\x82", "\u{fffd}"),
        ("utf-8", b"\xe2\x82a", "\u{fffd}a"),
        ("utf-8", b"\xed\xa0\x80", "\u{fffd}\u{fffd}\u{fffd}"),
        ("utf-8", b"\xc0\xaf", "\u{fffd}\u{fffd}"),
        ("utf-8", b"\xf4\x90\x80\x80", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ("utf-16le", b"a\0b", "a\u{fffd}"),
        ("utf-16le", b"\x3d\xd8", "\u{fffd}"),
        ("utf-16le", b"\x00\xdca\0", "\u{fffd}a"),
        ("utf-16be", b"\xd8\x3d\xde\x00", "\u{1f600}"),
        ("shift_jis", b"a\x93", "a\u{fffd}"),
        ("euc-jp", b"\x8f\xb0", "\u{fffd}"),
        ("euc-kr", b"\xb0", "\u{fffd}"),
        ("gbk", b"\xc4", "\u{fffd}"),
        ("gb18030", b"\x81\x30\x81", "\u{fffd}"),
        ("gb18030", b"\x81\x30\x81\x30", "\u{80}"),
        ("big5", b"\xa4", "\u{fffd}"),
        // A lead byte does not swallow the ASCII that follows it.
        ("shift_jis", b"\x93<", "\u{fffd}<"),
        ("gbk", b"\xc4<", "\u{fffd}<"),
        ("big5", b"\xa4<", "\u{fffd}<"),
        ("iso-2022-jp", b"\x1b$BF|\x1b(Ba", "\u{65e5}a"),
        ("iso-2022-jp", b"\x1b$BF", "\u{fffd}"),
        ("iso-2022-jp", b"\x1b", "\u{fffd}"),
        ("iso-2022-jp", b"a\xe9", "a\u{fffd}"),
        ("windows-1253", b"\xaa", "\u{fffd}"),
    ] {
        assert_eq!(text(bytes, label), expected, "{label} {bytes:x?}");
    }
}

#[test]
fn a_charset_drops_its_own_mark_and_no_other() {
    assert_eq!(text(b"\xef\xbb\xbfa", "utf-8"), "a");
    assert_eq!(text(b"\xef\xbb\xbf\xef\xbb\xbfa", "utf-8"), "\u{feff}a");
    assert_eq!(text(b"\xff\xfea\0", "utf-16le"), "a");
    assert_eq!(text(b"\xfe\xff\0a", "utf-16be"), "a");
    assert_eq!(text(b"\xfe\xff", "utf-16le"), "\u{fffe}");
    assert_eq!(text(b"\xef\xbb\xbfa", "latin1"), "\u{ef}\u{bb}\u{bf}a");
    assert_eq!(text(b"\xef\xbb\xbf", "utf-8"), "");
}

#[test]
fn what_is_latin_1_already_is_lent_and_reads_the_same_as_decoded() {
    let every: Vec<u8> = (0..=255).collect();
    for (label, _) in LABELS {
        let encoding = known(label.as_bytes()).unwrap();
        for byte in &every {
            for data in [vec![*byte], [vec![b'a'; 3000], vec![*byte]].concat()] {
                let (expected, _) = encoding.decode_without_bom_handling(&data);
                assert_eq!(utf8(decode(&data, encoding)), expected, "{label} {byte:x}");
            }
        }
    }
    let is_lent = |data: &[u8], label: &str| matches!(decode(data, known(label.as_bytes()).unwrap()), Text::Latin1(_));
    assert!(is_lent(b"K\xf6ln", "latin1"));
    assert!(!is_lent(b"\x93K\xf6ln\x94", "latin1"));
    assert!(is_lent(b"Koeln", "gbk"));
    assert!(!is_lent(b"a\0", "utf-16le"));
    assert!(!is_lent(b"\x1b(J", "iso-2022-jp"));
}

/// A label for each of the encodings, and its name.
const LABELS: &[(&str, &str)] = &[
    ("unicode-1-1-utf-8", "UTF-8"),
    ("cp866", "IBM866"),
    ("latin2", "ISO-8859-2"),
    ("latin3", "ISO-8859-3"),
    ("latin4", "ISO-8859-4"),
    ("cyrillic", "ISO-8859-5"),
    ("arabic", "ISO-8859-6"),
    ("greek", "ISO-8859-7"),
    ("hebrew", "ISO-8859-8"),
    ("logical", "ISO-8859-8-I"),
    ("latin6", "ISO-8859-10"),
    ("iso8859-13", "ISO-8859-13"),
    ("iso8859-14", "ISO-8859-14"),
    ("l9", "ISO-8859-15"),
    ("iso-8859-16", "ISO-8859-16"),
    ("koi", "KOI8-R"),
    ("koi8-ru", "KOI8-U"),
    ("mac", "macintosh"),
    ("tis-620", "windows-874"),
    ("cp1250", "windows-1250"),
    ("cp1251", "windows-1251"),
    ("ascii", "windows-1252"),
    ("cp1253", "windows-1253"),
    ("latin5", "windows-1254"),
    ("cp1255", "windows-1255"),
    ("cp1256", "windows-1256"),
    ("cp1257", "windows-1257"),
    ("cp1258", "windows-1258"),
    ("x-mac-ukrainian", "x-mac-cyrillic"),
    ("gb2312", "GBK"),
    ("gb18030", "gb18030"),
    ("big5-hkscs", "Big5"),
    ("x-euc-jp", "EUC-JP"),
    ("csiso2022jp", "ISO-2022-JP"),
    ("windows-31j", "Shift_JIS"),
    ("ks_c_5601-1987", "EUC-KR"),
    ("unicodefffe", "UTF-16BE"),
    ("utf-16", "UTF-16LE"),
    ("x-user-defined", "x-user-defined"),
];
