// A file of the app, such as a CSV: asked for like everything else, with the session, and handed to the browser to save.
import { command } from './commands.js'
import { find } from './dom.js'
import { ask } from './notices.js'

const nameOf = (answer) => /filename="?([^";]+)/.exec(answer.headers.get('Content-Disposition') ?? '')?.[1] ?? 'sundown.csv'

function save(file, name) {
  const link = Object.assign(document.createElement('a'), { href: URL.createObjectURL(file), download: name })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

command('download', async (button) => {
  const filters = button.dataset.with ? `?${new URLSearchParams(new FormData(find(button.dataset.with)))}` : ''
  const answer = await ask(button.dataset.from + filters, 'text/csv', button)
  if (answer) save(await answer.blob(), nameOf(answer))
})
