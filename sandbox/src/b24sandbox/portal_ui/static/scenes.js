// Scenes: what happens to apps in real life, set up in one click. `play` gets the control API and where it is played.
// What changes something, alone or in a batch: scenes hit whole requests, whichever way an app works.
const WORK = 'batch,landing.landing.*publi*,landing.*delete,*.add,*.update,*.delete'

export const scenes = [
  {
    title: 'The token expires in the middle of a run',
    words: 'Two more calls go well, then the access token is an hour old. A good app renews it once and repeats that very call; nobody notices.',
    play: (control, { portal }) => control.fault({ portal, method: WORK, whole: true, kind: 'error', code: 'expired_token', skip: 2, times: 1 }),
    said: 'The third call that changes something, or the third batch, answers expired_token.',
  },
  {
    title: 'The administrator takes the scope away',
    words: 'The app’s access to Sites is not confirmed any more. Every landing call answers insufficient_scope; renewing does not help, an administrator must act.',
    play: (control, { portal }) => control.scope(portal, []),
    said: 'The scope is empty. Give it back under “People and rights”.',
  },
  {
    title: 'The portal is renamed',
    words: 'The old address answers 302 with the new one in Location. A POST that follows it becomes a GET; a token sent there may reach a stranger.',
    play: (control, { portal }) => control.rename(portal),
    said: 'The portal has a new address; the old one answers 302.',
  },
  {
    title: 'The editor loses a right overnight',
    words: 'On the first site the editor may only read. Unpublishing a page answers ACCESS_DENIED for that page, the others go on; publishing answers null without any error.',
    play: (control, { portal, users, sites }) => control.rights(portal, users.editor.id, sites[0].id, ['read']),
    said: 'The editor may only read the first site.',
  },
  {
    title: 'Somebody is dismissed',
    words: 'The editor’s account is closed. Their tokens answer authorization_error, and what they planned waits for somebody to take it over.',
    play: (control, { portal, users }) => control.user(portal, users.editor.id, { active: false }),
    said: 'The editor is dismissed. Take them back under “People and rights”.',
  },
  {
    title: 'The answer is lost, the work is done',
    words: 'The connection breaks after the page was taken down. Whoever simply repeats may do it twice; whoever gives up reports a failure that was none.',
    play: (control, { portal }) => control.fault({ portal, method: WORK, whole: true, kind: 'reset_after', times: 1 }),
    said: 'The next call that changes something, or the next batch, is done, but its answer never arrives.',
  },
  {
    title: 'The answer of a renewal is lost',
    words: 'The refresh token is used up and the new pair never arrives. The chain is dead; only opening the app again, or another chain of the same person, helps.',
    play: async (control, { portal }) => {
      await control.fault({ portal: 'oauth', method: '/oauth/token/', kind: 'reset_after', times: 1 })
      await control.expire(portal)
    },
    said: 'All access tokens have expired, and the answer of the next renewal will be lost.',
  },
  {
    title: 'Removed, and nobody tells the app',
    words: 'The event of the removal gets lost; it is never sent again. The app learns of it only from ERROR_OAUTH or NOT_INSTALLED at its next call.',
    play: async (control, { portal }) => {
      await control.eventQueue({ lose: 1 })
      await control.uninstall(portal, true)
    },
    said: 'The app is removed. Install it again under “People and rights”.',
  },
  {
    title: 'Ten minutes of work are used up',
    words: 'Each method may work so many seconds in ten minutes; here three. Beyond that it answers OPERATION_TIME_LIMIT (429) until the oldest minute has left. Slow down before, by what operating says.',
    play: (control, { portal }) => control.switch(portal, 'operating_limit', 3),
    said: 'Twenty unpublishes of one page each are about three seconds. Lift it with the switch “operating limit”.',
  },
  {
    title: 'A crowded Monday morning',
    words: 'The next five calls are refused with QUERY_LIMIT_EXCEEDED (503), as when many apps share one address. Wait longer each time, do not hammer.',
    play: (control, { portal }) => control.fault({ portal, kind: 'error', code: 'QUERY_LIMIT_EXCEEDED', times: 5 }),
    said: 'Five refusals are waiting.',
  },
  {
    title: 'The front end is unwell',
    words: 'Three times HTML with 502 comes in place of JSON, as when a cloud node restarts. It passes by itself.',
    play: (control, { portal }) => control.fault({ portal, kind: 'html', times: 3 }),
    said: 'The next three calls get a page of nginx.',
  },
  {
    title: 'The subscription ends',
    words: 'Calls answer PAYMENT_REQUIRED and events are not sent any more, not even the one of the removal. The data stays.',
    play: (control, { portal }) => control.switch(portal, 'payment_expired', true),
    said: 'The subscription is over. Renew it with the switch “payment expired”.',
  },
]
