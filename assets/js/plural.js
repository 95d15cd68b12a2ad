// Texts with a number that only the browser knows. The server sends the sentence for a few sample numbers, which
// together show every plural form of the language; the sample of the right form is used with its number replaced.
const rules = new Intl.PluralRules(document.documentElement.lang || 'en')

export function withNumber(samples, number) {
  const form = rules.select(number)
  const exact = samples.find(([n]) => n === number)
  const [sample, text] = exact ?? samples.find(([n]) => rules.select(n) === form) ?? samples.at(-1)
  return text.replace(String(sample), number.toLocaleString(document.documentElement.lang || 'en'))
}
