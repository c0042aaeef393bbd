/** Words that give away a token or a key, whoever wrote them, in what is published. */
const SECRETS = {
  'a token of npm': /\bnpm_[A-Za-z0-9]{36}\b|:_auth(Token)?\s*=/,
  'a token of GitHub': /\bgh[opsu]_[A-Za-z0-9]{36}\b|\bgithub_pat_\w{22,}/,
  'a private key': /-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{32,}/,
};

/** The kinds of those that are in a text. */
export function secretsIn(text) {
  return Object.keys(SECRETS).filter((kind) => SECRETS[kind].test(text));
}
