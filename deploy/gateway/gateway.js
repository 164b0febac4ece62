// What the gateway decides of each request; nginx does all the rest. docs/gateway.md says what it is for.
import fs from 'fs';

// src/login/placeholder.h has it too.
const PLACEHOLDER = 'sk-ant-oat01-FAKE-placeholder-for-which-the-gateway-puts-the-token';

const LOGIN_COMMAND = process.env.CLAUDE_INIT_LOGIN_COMMAND || 'claude-init setup, where the keeper runs';

// By the name that refusal() gives: status, the API's type of error, what the CLI shows. The CLI repeats none of these.
const REFUSALS = {
  placeholder: [401, 'authentication_error',
    'the gateway takes nothing but the placeholder of its published store: mount what the keeper publishes with ' +
    '--publish-placeholder, and unset ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN and CLAUDE_CODE_OAUTH_TOKEN'],
  path: [400, 'invalid_request_error', 'the gateway does not forward a path that is written in two ways'],
  more: [403, 'permission_error', 'the gateway does not forward requests for keys, tokens and sessions elsewhere'],
  missing: [403, 'permission_error', 'no login yet; run: ' + LOGIN_COMMAND],
  expired: [403, 'permission_error',
    'the access token has expired and the keeper has not renewed it; see its log, or log in again: ' + LOGIN_COMMAND],
  rejected: [403, 'permission_error', 'the server does not accept this login any more; log in again: ' + LOGIN_COMMAND],
  away: [502, 'api_error', 'the gateway cannot reach api.anthropic.com: see its log and its network']
};

// The login that the keeper has published, read anew each time: {token} or {refusal}.
function published() {
  let login;
  try {
    login = JSON.parse(fs.readFileSync(process.env.CLAUDE_GATEWAY_LOGIN, 'utf8')).claudeAiOauth;
  } catch (e) {
    return {refusal: 'missing'};
  }
  if (!login || typeof login.accessToken != 'string' || !/^[\x21-\x7e]+$/.test(login.accessToken)) {
    return {refusal: 'missing'};
  }
  if (login.accessToken === PLACEHOLDER) return {refusal: 'missing'};
  if (!(login.expiresAt > Date.now())) return {refusal: 'expired'};
  return {token: login.accessToken};
}

// As it was sent, without what may be secret in it.
function path(r) {
  return (r.variables.request_uri || '-').split('?')[0];
}

// One credential, and that the placeholder. njs joins or drops repeated headers; the raw ones are all.
function has_placeholder(r) {
  let seen = 0;
  for (let i = 0; i < r.rawHeadersIn.length; i++) {
    const name = r.rawHeadersIn[i][0].toLowerCase();
    if (name == 'x-api-key' || name == 'proxy-authorization') return false;
    if (name != 'authorization') continue;
    seen += 1;
    if (r.rawHeadersIn[i][1] !== 'Bearer ' + PLACEHOLDER) return false;
  }
  return seen == 1;
}

// Of what can be written in several ways a rule on paths would know only one.
function is_plain(where) {
  return /^\/[A-Za-z0-9\-._~!$&'()*+,;=:@\/%]*$/.test(where) && !/%(2e|2f|5c|25|00)/i.test(where) &&
    !/\/\/|\/\.{1,2}(\/|$)/.test(where);
}

// With an access token one can ask for credentials of one's own and for sessions on other machines, which would be the
// job's beyond this network.
function asks_for_more(r) {
  return /api[-_]?key|external_key|import-token|local_pairing|\/oauth\/(token|authorize|revoke)|\/v1\/(token|environments|sessions|session_ingress|code)(\/|$)/i
    .test(r.uri);
}

// Why this request is not forwarded, by its name in REFUSALS; '' where it is: then $token is the access token.
function refusal(r) {
  if (!is_plain(path(r))) return 'path';
  if (!has_placeholder(r)) return 'placeholder';
  if (asks_for_more(r)) return 'more';
  const login = published();
  if (login.refusal) return login.refusal;
  r.variables.token = login.token;
  return '';
}

function answer(r, name) {
  const what = REFUSALS[name];
  r.headersOut['Content-Type'] = 'application/json';
  r.headersOut['X-Should-Retry'] = what[0] >= 500 ? 'true' : 'false';
  r.return(what[0], JSON.stringify({type: 'error', error: {type: what[1], message: 'claude-init: ' + what[2]}}) + '\n');
}

function refuse(r) { answer(r, r.variables.refusal); }
function rejected(r) { answer(r, 'rejected'); }
function away(r) { answer(r, 'away'); }

// Whether jobs get answers, as far as that is known here.
function ready(r) {
  const login = published();
  r.return(login.refusal ? 503 : 200, login.refusal ? REFUSALS[login.refusal][2] + '\n' : 'ready\n');
}

function ms(r) {
  return String(Math.round(Number(r.variables.request_time) * 1000));
}

export default {refusal, refuse, rejected, away, ready, path, ms};
