#!/usr/bin/env python3
"""Writes no-proxy.json: whether a URL is reached through a proxy, by what NO_PROXY says; here, with curl and with Go.

    python3 no-proxy.py                 # needs curl and go

`ours` is what is promised, and written by hand below; the other columns are what these programs do. Nothing leaves the
machine: curl is led to a listener on 127.0.0.1 whichever way it takes, and Go is only asked (its vendored httpproxy).
"""
from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

HERE = os.path.dirname(os.path.abspath(__file__))
PROXY, DIRECT = "proxy", "direct"

# Why ours is another answer than one of theirs.
LOCAL = "Go never uses a proxy for this machine; here, as with curl and urllib, NO_PROXY has to say so"
ALIKE = "this machine is meant by whichever of its names and addresses: a request past the entry would show it to the proxy"
BELOW = "curl drops the dot; what is written with one means what is below it, so that nothing goes past the proxy unasked"
STAR = "curl knows no wildcard but *"
PORT = "curl knows no ports"
BLANK = "Go has entries between commas alone"
DOT = "the dot that ends a name changes nothing about which host it is"
SPELLING = "an address is a number, however it is written"
MAPPED = "an address of IPv4 that is mapped into IPv6 is that address (RFC 4291 §2.5.5.2)"
RANGE = "Node.js knows ranges"
IDNA = "a name and its A-labels are one (RFC 5890)"
EMPTY = "a port without digits is none (RFC 3986 §3.2.3)"
ZONE = "the zone says which host it is (RFC 4007 §6)"
BRACKETS = "curl wants IPv6 without brackets here"
TEXT = "this curl compares addresses of IPv6 as texts"

ROWS = [
    # Nothing said.
    ("http://example.com/", "", PROXY),
    ("https://example.com/", "", PROXY),
    ("http://example.com/", ",", PROXY),
    ("http://example.com/", " , ,, ", PROXY),
    # Everything.
    ("http://example.com/", "*", DIRECT),
    ("https://[2001:db8::1]/", "*", DIRECT),
    ("http://192.0.2.1/", " * ", DIRECT, "curl knows * as the whole value only"),
    ("http://example.com/", "other.example,*", DIRECT, "curl knows * as the whole value only"),
    ("http://example.com/", "* other.example", DIRECT, "entries are read one by one, * too"),
    ("http://example.com:8080/", "*:8080", DIRECT, "any host may have a port, and * is any host"),
    ("http://example.com/", "*:8080", PROXY),
    # A name and what is below it.
    ("http://example.com/", "example.com", DIRECT),
    ("https://example.com/", "example.com", DIRECT),
    ("http://www.example.com/", "example.com", DIRECT),
    ("http://a.b.example.com/", "example.com", DIRECT),
    ("http://notexample.com/", "example.com", PROXY),
    ("http://example.com.evil.test/", "example.com", PROXY),
    ("http://example.co/", "example.com", PROXY),
    ("http://com/", "example.com", PROXY),
    ("http://example.com/", "www.example.com", PROXY),
    ("http://example.com/", "com", DIRECT),
    ("http://example.com/path?a=example.org#x", "example.org", PROXY),
    ("http://example.org@example.com/", "example.org", PROXY),
    ("http://intranet/", "intranet", DIRECT),
    ("http://intranet.corp/", "intranet", PROXY),
    # Only what is below it.
    ("http://www.example.com/", ".example.com", DIRECT),
    ("http://a.b.example.com/", ".example.com", DIRECT),
    ("http://example.com/", ".example.com", PROXY, BELOW),
    ("http://notexample.com/", ".example.com", PROXY),
    ("http://www.example.com/", "*.example.com", DIRECT, STAR),
    ("http://a.b.example.com/", "*.example.com", DIRECT, STAR),
    ("http://example.com/", "*.example.com", PROXY),
    ("http://notexample.com/", "*.example.com", PROXY),
    ("http://www.example.com/", "*example.com", PROXY),
    ("http://www.example.com/", "www.*", PROXY),
    ("http://www.example.com/", "www.*.com", PROXY),
    ("http://www.example.com/", "..example.com", PROXY),
    ("http://example.com/", ".", PROXY),
    ("http://example.com/", "*.", PROXY),
    # Case.
    ("http://EXAMPLE.com/", "example.com", DIRECT),
    ("http://www.example.com/", "Example.COM", DIRECT),
    ("http://www.EXAMPLE.com/", "*.Example.com", DIRECT, STAR),
    # The dot that ends a name.
    ("http://example.com./", "example.com", DIRECT, DOT),
    ("http://www.example.com./", "example.com", DIRECT, DOT),
    ("http://example.com/", "example.com.", DIRECT, DOT),
    ("http://www.example.com/", ".example.com.", DIRECT, DOT),
    ("http://example.com./", "example.com.", DIRECT),
    ("http://example.com./", ".example.com", PROXY, BELOW),
    # What stands between entries.
    ("http://b.test/", "a.test,b.test", DIRECT),
    ("http://b.test/", "a.test, b.test", DIRECT),
    ("http://b.test/", "a.test b.test", DIRECT, BLANK),
    ("http://b.test/", "  a.test\t b.test  ", DIRECT, BLANK),
    ("http://a.test/", ",a.test,,b.test,", DIRECT),
    ("http://b.test/", "a.test;b.test", PROXY),
    ("http://c.test/", "a.test,b.test", PROXY),
    ("http://b.test/", "a.test\nb.test", DIRECT, BLANK + "; curl knows blanks and tabs"),
    # Ports.
    ("http://example.com:8080/", "example.com:8080", DIRECT, PORT),
    ("http://example.com:8081/", "example.com:8080", PROXY),
    ("http://example.com/", "example.com:80", DIRECT, PORT),
    ("https://example.com/", "example.com:443", DIRECT, PORT),
    ("https://example.com/", "example.com:80", PROXY),
    ("http://example.com:443/", "example.com:443", DIRECT, PORT),
    ("http://www.example.com:8080/", "example.com:8080", DIRECT, PORT),
    ("http://www.example.com:8080/", ".example.com:8080", DIRECT, PORT),
    ("http://www.example.com:8080/", "*.example.com:8080", DIRECT, PORT),
    ("http://example.com:8080/", "*.example.com:8080", PROXY),
    ("http://example.com:8080/", "example.com", DIRECT),
    ("http://example.com/", "example.com:", DIRECT, EMPTY),
    ("http://example.com/", "example.com:http", PROXY),
    ("http://example.com/", "example.com:99999", PROXY),
    ("http://example.com/", "example.com:+80", PROXY),
    ("http://example.com/", ":80", PROXY),
    ("http://example.com/", "example.com:80:80", PROXY),
    ("http://192.0.2.1:8080/", "192.0.2.1:8080", DIRECT, PORT),
    ("http://192.0.2.1:8081/", "192.0.2.1:8080", PROXY),
    ("http://[2001:db8::1]:8080/", "[2001:db8::1]:8080", DIRECT, PORT),
    ("http://[2001:db8::1]:8081/", "[2001:db8::1]:8080", PROXY),
    ("http://[2001:db8::1]/", "[2001:db8::1]:80", DIRECT, PORT),
    # Addresses of IPv4.
    ("http://192.0.2.1/", "192.0.2.1", DIRECT),
    ("http://192.0.2.10/", "192.0.2.1", PROXY),
    ("http://192.0.2.1/", "92.0.2.1", PROXY),
    ("http://192.0.2.1/", "0.2.1", PROXY),
    ("http://192.0.2.1/", ".0.2.1", PROXY),
    ("http://192.0.2.1/", ".2.1", PROXY),
    ("http://192.0.2.1/", "192.0.2", PROXY),
    ("http://192.0.2.1/", "192.0.2.", PROXY),
    ("http://192.0.2.1/", "192.0.2.*", PROXY),
    ("http://3221225985/", "192.0.2.1", DIRECT, SPELLING),
    ("http://0xC0.0.2.1/", "192.0.2.1", DIRECT, SPELLING),
    ("http://0300.0.2.1/", "192.0.2.1", DIRECT, SPELLING),
    ("http://192.0.513/", "192.0.2.1", DIRECT, SPELLING),
    ("http://192.0.2.1/", "3221225985", DIRECT, SPELLING),
    ("http://192.0.2.1/", "0xc0.0.2.1", DIRECT, SPELLING),
    ("http://192.0.2.1./", "192.0.2.1", DIRECT, SPELLING),
    ("http://192.0.2.1/", "192.0.2.1.", DIRECT, SPELLING),
    ("http://192.0.2.1.example/", "192.0.2.1", PROXY),
    ("http://www.192.0.2.1.example/", "192.0.2.1.example", DIRECT),
    # Addresses of IPv6.
    ("http://[2001:db8::1]/", "2001:db8::1", DIRECT),
    ("http://[2001:db8::1]/", "[2001:db8::1]", DIRECT, BRACKETS),
    ("http://[2001:DB8:0::0001]/", "2001:db8::1", DIRECT),
    ("http://[2001:db8::1]/", "2001:0DB8:0:0:0:0:0:1", DIRECT, TEXT),
    ("http://[2001:db8::10]/", "2001:db8::1", PROXY),
    ("http://[2001:db8::1]/", "[2001:db8::1", PROXY),
    ("http://[2001:db8::1]/", "2001:db8::1]", PROXY),
    ("http://[fe80::1%25eth0]/", "fe80::1%eth0", DIRECT, ZONE),
    ("http://[fe80::1%25eth1]/", "fe80::1%eth0", PROXY),
    ("http://[fe80::1%25eth0]/", "fe80::1", DIRECT),
    ("http://[fe80::1]/", "fe80::1%eth0", PROXY),
    ("http://[fe80::1%25eth0]/", "fe80::/10", DIRECT, TEXT),
    ("http://[fe80::1%25eth0.lan]/", "lan", PROXY),
    # One in the other.
    ("http://[::ffff:192.0.2.1]/", "192.0.2.1", DIRECT, MAPPED),
    ("http://[::ffff:c000:201]/", "192.0.2.1", DIRECT, MAPPED),
    ("http://192.0.2.1/", "::ffff:192.0.2.1", DIRECT, MAPPED),
    ("http://192.0.2.1/", "[::ffff:c000:201]", DIRECT, MAPPED),
    ("http://[::ffff:192.0.2.1]/", "192.0.2.0/24", DIRECT, MAPPED),
    ("http://192.0.2.1/", "::ffff:192.0.2.0/120", DIRECT, MAPPED),
    ("http://192.0.2.1/", "::ffff:0:0/96", DIRECT, MAPPED),
    ("http://[::192.0.2.1]/", "192.0.2.1", PROXY),
    # Networks and ranges.
    ("http://10.1.2.3/", "10.0.0.0/8", DIRECT),
    ("http://11.1.2.3/", "10.0.0.0/8", PROXY),
    ("http://10.1.2.3/", "10.9.9.9/8", DIRECT),
    ("http://192.168.1.127/", "192.168.1.0/25", DIRECT),
    ("http://192.168.1.128/", "192.168.1.0/25", PROXY),
    ("http://192.0.2.1/", "192.0.2.1/32", DIRECT),
    ("http://192.0.2.2/", "192.0.2.1/32", PROXY),
    ("http://192.0.2.1/", "0.0.0.0/0", DIRECT, "curl knows no network of everything"),
    ("http://[2001:db8::1]/", "0.0.0.0/0", PROXY),
    ("http://example.com/", "0.0.0.0/0", PROXY),
    ("http://[2001:db8:1::5]/", "2001:db8::/32", DIRECT, TEXT),
    ("http://[2001:db9::5]/", "2001:db8::/32", PROXY),
    ("http://192.0.2.1/", "::/0", PROXY),
    ("http://[2001:db8::1]/", "::/0", DIRECT, TEXT),
    ("http://10.1.2.3/", "10.0.0.0/33", PROXY),
    ("http://10.1.2.3/", "10.0.0.0/", PROXY),
    ("http://10.1.2.3/", "10.0.0.0/-1", PROXY),
    ("http://10.1.2.3/", "10/8", PROXY),
    ("http://10.1.2.3:8080/", "10.0.0.0/8:8080", PROXY, "networks have no ports; curl reads the digits alone"),
    ("http://10.1.2.3/", "example.com/8", PROXY),
    ("http://0x0a.1.2.3/", "10.0.0.0/8", DIRECT, SPELLING),
    ("http://192.0.2.5/", "192.0.2.1-192.0.2.9", DIRECT, RANGE),
    ("http://192.0.2.10/", "192.0.2.1-192.0.2.9", PROXY),
    ("http://192.0.2.5/", "192.0.2.9-192.0.2.1", PROXY),
    ("http://9.9.9.9/", "0.0.0.0-127.0.0.1", DIRECT, RANGE),
    ("http://[2001:db8::5]/", "2001:db8::1-2001:db8::9", DIRECT, RANGE),
    ("http://192.0.2.5/", "192.0.2.1-2001:db8::1", PROXY),
    # This machine.
    ("http://localhost/", "", PROXY, LOCAL),
    ("http://127.0.0.1/", "", PROXY, LOCAL),
    ("http://[::1]/", "", PROXY, LOCAL),
    ("http://127.9.9.9/", "example.com", PROXY, LOCAL),
    ("http://localhost/", "localhost", DIRECT),
    ("http://LOCALHOST/", "localhost", DIRECT),
    ("http://localhost./", "localhost", DIRECT, DOT),
    ("http://127.0.0.1/", "127.0.0.1", DIRECT),
    ("http://127.0.0.1/", "localhost", DIRECT, ALIKE),
    ("http://[::1]/", "localhost", DIRECT, ALIKE),
    ("http://127.0.0.2/", "localhost", DIRECT, ALIKE),
    ("http://127.255.255.254/", "127.0.0.1", DIRECT, ALIKE),
    ("http://0.0.0.0/", "localhost", DIRECT, ALIKE),
    ("http://0.0.0.0/", "127.0.0.1", DIRECT, ALIKE),
    ("http://0/", "127.0.0.1", DIRECT, ALIKE),
    ("http://[::]/", "::1", DIRECT, ALIKE),
    ("http://[::1]/", "127.0.0.1", DIRECT, ALIKE),
    ("http://[::ffff:127.0.0.1]/", "127.0.0.1", DIRECT, ALIKE),
    ("http://[::ffff:7f00:1]/", "localhost", DIRECT, ALIKE),
    ("http://[0:0:0:0:0:0:0:1]/", "::1", DIRECT),
    ("http://[::ffff:0.0.0.0]/", "localhost", DIRECT, ALIKE),
    ("http://127.1/", "localhost", DIRECT, ALIKE),
    ("http://0x7f000001/", "127.0.0.1", DIRECT, SPELLING),
    ("http://2130706433/", "localhost", DIRECT, ALIKE),
    ("http://017700000001/", "::1", DIRECT, ALIKE),
    ("http://localhost/", "127.0.0.1", DIRECT, ALIKE),
    ("http://localhost/", "[::1]", DIRECT, ALIKE),
    ("http://localhost/", "127.0.0.0/8", DIRECT, ALIKE),
    ("http://[::1]/", "127.0.0.0/8", DIRECT, ALIKE),
    ("http://127.0.0.1/", "::1/128", DIRECT, ALIKE),
    ("http://localhost/", "0.0.0.0/32", DIRECT, ALIKE),
    ("http://localhost/", "127.0.0.1-127.0.0.9", DIRECT, ALIKE),
    ("http://localhost/", "0.0.0.0/0", PROXY, "Go never uses a proxy for this machine; a wider network is not this machine"),
    ("http://[::1]/", "0.0.0.0/0", PROXY, "Go never uses a proxy for this machine; a wider network is not this machine"),
    ("http://0.1.2.3/", "localhost", PROXY),
    ("http://126.255.255.255/", "localhost", PROXY),
    ("http://128.0.0.1/", "127.0.0.1", PROXY),
    ("http://[::2]/", "localhost", PROXY),
    ("http://app.localhost/", "localhost", DIRECT),
    ("http://app.localhost/", "127.0.0.1", DIRECT, ALIKE + " (RFC 6761 §6.3)"),
    ("http://app.localhost/", ".localhost", DIRECT),
    ("http://localhost/", ".localhost", PROXY, BELOW),
    ("http://notlocalhost/", "localhost", PROXY),
    ("http://localhost.example/", "localhost", PROXY),
    ("http://localhost:8080/", "localhost:8080", DIRECT, PORT),
    ("http://127.0.0.1:8080/", "localhost:8080", DIRECT, ALIKE),
    ("http://127.0.0.1:8081/", "localhost:8080", PROXY, LOCAL),
    ("https://[::1]/", "127.0.0.1:443", DIRECT, ALIKE),
    # Names beyond ASCII.
    ("http://bücher.example/", "xn--bcher-kva.example", DIRECT),
    ("http://xn--bcher-kva.example/", "bücher.example", DIRECT, IDNA),
    ("http://www.BÜCHER.example/", "bücher.example", DIRECT, IDNA),
    ("http://www.bücher.example/", "*.bücher.example", DIRECT, IDNA),
    ("http://bücher.example/", ".bücher.example", PROXY),
    ("http://bucher.example/", "bücher.example", PROXY),
    ("http://%65xample.com/", "example.com", DIRECT, "an escape of a letter is the letter (RFC 3986 §6.2.2.2)"),
    # What is no entry.
    ("http://example.com/", "http://example.com", PROXY),
    ("http://example.com/", "//example.com", PROXY),
    ("http://example.com/", "example.com/", PROXY),
    ("http://example.com/", "user@example.com", PROXY),
    ("http://example.com/", "[example.com]", PROXY),
    ("http://example.com/", "a.test,[,example.com", DIRECT),
    ("http://my_host.example/", "my_host.example", DIRECT),
]


def curl(row):
    """By where it connects to. It is never let out: whatever it would reach is on 127.0.0.1."""
    url, entries = row[0], row[1]
    with socket.create_server(("127.0.0.1", 0)) as proxy, socket.create_server(("127.0.0.1", 0)) as direct:
        at = f"127.0.0.1:{proxy.getsockname()[1]}"
        env = {"http_proxy": f"http://{at}", "https_proxy": f"http://{at}", "no_proxy": entries, "LC_ALL": "C.UTF-8"}
        to = f"::127.0.0.1:{direct.getsockname()[1]}"
        child = subprocess.Popen(["curl", "-q", "-s", "-g", "-m", "5", "--connect-to", to, url], env=env, stdout=subprocess.DEVNULL)
        proxy.setblocking(False)
        direct.setblocking(False)
        try:
            while True:
                for way, server in ((PROXY, proxy), (DIRECT, direct)):
                    try:
                        server.accept()[0].close()
                        return way
                    except BlockingIOError:
                        pass
                try:
                    child.wait(0.02)
                    return "refused"
                except subprocess.TimeoutExpired:
                    pass
        finally:
            child.kill()
            child.wait()


def go(rows):
    program = """package main
import ("encoding/json"; "net/url"; "os"; "golang.org/x/net/http/httpproxy")
func main() {
	var rows [][2]string
	json.NewDecoder(os.Stdin).Decode(&rows)
	out := []string{}
	for _, row := range rows {
		config := httpproxy.Config{HTTPProxy: "http://p:1", HTTPSProxy: "http://p:1", NoProxy: row[1]}
		parsed, err := url.Parse(row[0])
		if err != nil { out = append(out, "refused"); continue }
		found, err := config.ProxyFunc()(parsed)
		if err != nil { out = append(out, "refused") } else if found == nil { out = append(out, "direct") } else { out = append(out, "proxy") }
	}
	json.NewEncoder(os.Stdout).Encode(out)
}
"""
    root = subprocess.check_output(["go", "env", "GOROOT"], text=True).strip()
    with tempfile.TemporaryDirectory() as path:
        shutil.copytree(f"{root}/src/vendor/golang.org", f"{path}/src/golang.org")
        os.mkdir(f"{path}/src/ask")
        with open(f"{path}/src/ask/main.go", "w") as file:
            file.write(program)
        env = {**os.environ, "GO111MODULE": "off", "GOPATH": path, "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOPROXY": "off"}
        asked = json.dumps([row[:2] for row in rows])
        return json.loads(subprocess.check_output(["go", "run", "ask"], input=asked, text=True, env=env, cwd=path))


def main():
    with ThreadPoolExecutor(4) as pool:
        curls = list(pool.map(curl, ROWS))
    cases, wrong = [], 0
    for row, by_curl, by_go in zip(ROWS, curls, go(ROWS)):
        url, entries, ours, why = (*row, None)[:4]
        differs = {by_curl, by_go} != {ours}
        if differs != (why is not None):
            wrong += 1
            print("needs a reason" if differs else "needs no reason", (url, entries, ours), "curl:", by_curl, "go:", by_go)
        cases.append({"url": url, "noProxy": entries, "ours": ours, "curl": by_curl, "go": by_go, "why": why})
    if wrong:
        sys.exit(f"{wrong} of {len(cases)} rows")
    version = subprocess.check_output(["curl", "-V"], text=True).split()[1]
    golang = subprocess.check_output(["go", "env", "GOVERSION"], text=True).strip()[2:]
    head = {"producedBy": "vectors/no-proxy.py", "curl": version, "go": golang, "note": "whether a URL is reached through a proxy, by what NO_PROXY says; why: where ours is not the answer of both"}
    with open(os.path.join(HERE, "no-proxy.json"), "w") as file:
        lines = ",\n".join("  " + json.dumps(case, ensure_ascii=False) for case in cases)
        file.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "cases": [\n' + lines + "\n]}\n")
    print(len(cases), "rows")


if __name__ == "__main__":
    main()
