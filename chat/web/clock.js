/** Times as people read them, in their language and time zone. `now` is an argument, so that tests can set it. */

const DAY = 86400000;

const format = (options) => {
  let made;
  return (date, language) => {
    if (made?.language !== language) made = { language, formatter: new Intl.DateTimeFormat(language, options) };
    return made.formatter.format(date);
  };
};

const hourMinute = format({ hour: '2-digit', minute: '2-digit' });
const weekday = format({ weekday: 'long' });
const shortWeekday = format({ weekday: 'short' });
const dayMonth = format({ day: 'numeric', month: 'short' });
const dayMonthYear = format({ day: 'numeric', month: 'short', year: 'numeric' });
const complete = format({ dateStyle: 'full', timeStyle: 'medium' });

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();

/** Whole days between two dates in local time: 0 today, 1 yesterday. Summer time does not disturb it. */
export function daysAgo(date, now) {
  return Math.round((midnight(now) - midnight(date)) / DAY);
}

/** The day as a number that changes at local midnight. */
export const dayOf = (iso) => midnight(new Date(iso));

export const timeOfDay = (iso, language) => hourMinute(new Date(iso), language);

export const fullTime = (iso, language) => complete(new Date(iso), language);

/** For a separator between days. `words` has `today` and `yesterday`. */
export function dayName(iso, language, words, now = new Date()) {
  const date = new Date(iso);
  const ago = daysAgo(date, now);
  if (ago === 0) return words.today;
  if (ago === 1) return words.yesterday;
  if (ago > 1 && ago < 7) return weekday(date, language);
  return date.getFullYear() === now.getFullYear() ? dayMonth(date, language) : dayMonthYear(date, language);
}

/** For the list: as short as it can be. */
export function shortTime(iso, language, words, now = new Date()) {
  const date = new Date(iso);
  const ago = daysAgo(date, now);
  if (ago <= 0) return hourMinute(date, language);
  if (ago === 1) return words.yesterday;
  if (ago < 7) return shortWeekday(date, language);
  return date.getFullYear() === now.getFullYear() ? dayMonth(date, language) : dayMonthYear(date, language);
}
