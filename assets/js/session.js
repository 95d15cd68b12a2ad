// The session token lives in this page only: no cookie, no storage. It rides on every request, and an answer may bring
// a fresh one.
import { meta } from './dom.js'

export function renew(fresh) {
  if (fresh) meta('session-token').content = fresh
}

export async function send(url, request) {
  const headers = { ...request.headers, Authorization: `Bearer ${meta('session-token').content}` }
  const answer = await fetch(url, { ...request, headers })
  renew(answer.headers.get('Session-Token'))
  return answer
}
