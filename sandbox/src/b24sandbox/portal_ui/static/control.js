// The control API of the stand-in (contract, last section): it has an address of its own and lets the portals' pages in.
let base = ''

async function send(verb, path, body) {
  const answer = await fetch(`${base}${path}`, {
    method: verb,
    headers: body ? { 'Content-Type': 'application/json' } : {},
    body: body && JSON.stringify(body),
  })
  const said = await answer.json().catch(() => ({}))
  if (!answer.ok) throw new Error(said.error || said.message || `The control API answered ${answer.status}`)
  return said
}

export const control = {
  connect(url) { base = url.replace(/\/$/, '') },
  state: () => send('GET', '/state'),
  truth: (after, limit) => send('GET', `/truth?${new URLSearchParams({ after, limit })}`),
  expire: (portal, user) => send('POST', '/expire', user ? { portal, user } : { portal }),
  scope: (portal, scopes) => send('POST', '/scope', { portal, scopes }),
  rights: (portal, user, site, rights) => send('POST', '/rights', { portal, user, site, rights }),
  user: (portal, user, changes) => send('POST', '/user', { portal, user, ...changes }),
  switch: (portal, name, value) => send('POST', '/switch', { portal, name, value }),
  world: (changes) => send('POST', '/world', changes),
  eventQueue: (changes) => send('POST', '/event-queue', changes),
  release: (backwards) => send('POST', '/release', { backwards }),
  rename: (portal) => send('POST', '/rename', { portal }),
  fault: (fault) => send('POST', '/fault', fault),
  removeFaults: (id) => send('POST', '/faults/clear', id ? { id } : {}),
  rule: (rule) => send('POST', '/rule', rule),
  removeRule: (portal, rule) => send('POST', '/rule/remove', { portal, rule }),
  fire: (portal, rule, document) => send('POST', '/fire', { portal, rule, document }),
  pages: (portal, n) => send('POST', '/pages', { portal, n }),
  advance: (seconds) => send('POST', '/clock', { advance: seconds }),
  install: (portal, app = 0) => send('POST', '/install', { portal, app }),
  uninstall: (portal, clean, app = 0) => send('POST', '/uninstall', { portal, clean, app }),

  // As at the start, with the app on the portals that had it: its installer runs at the next open by an administrator.
  async reset() {
    const { portals } = await control.state()
    await send('POST', '/reset', {})
    for (const [index, portal] of portals.entries()) if (portal.installed) await control.install(index)
  },
}
