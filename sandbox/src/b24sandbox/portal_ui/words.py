"""The portal's own words: a page that speaks the person's language while the frame's `LANG` says the same.

Only the chrome is translated (menu, search, headings); the stand-in's own bar and panel are a developer's tool and stay
English. Codes are Bitrix24's `LANG` values (`la` is Spanish, `br` Portuguese, `sc` and `tc` Chinese, `vn` Vietnamese,
`ua` Ukrainian, `kz` Kazakh). A language without words here shows the English chrome, and the app still gets its code.
"""

from collections.abc import Mapping

LANGUAGES: Mapping[str, str] = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "la": "Español",
    "br": "Português",
    "it": "Italiano",
    "pl": "Polski",
    "tr": "Türkçe",
    "ru": "Русский",
    "ua": "Українська",
    "kz": "Қазақша",
    "ar": "العربية",
    "sc": "简体中文",
    "tc": "繁體中文",
    "ja": "日本語",
    "vn": "Tiếng Việt",
    "id": "Bahasa Indonesia",
    "ms": "Bahasa Melayu",
    "th": "ไทย",
}
HTML_LANG: Mapping[str, str] = {
    "la": "es",
    "br": "pt-BR",
    "ua": "uk",
    "kz": "kk",
    "sc": "zh-Hans",
    "tc": "zh-Hant",
    "vn": "vi",
}
RIGHT_TO_LEFT = frozenset({"ar"})

SECTIONS = ("feed", "chat", "calendar", "tasks", "crm", "sites", "app", "drive", "market", "company")
_KEYS = (
    "feed", "chat", "calendar", "tasks", "crm", "sites", "drive", "market", "company", "search", "settings", "notices",
)  # fmt: skip
_WORDS: Mapping[str, str] = {
    "en": "Feed|Chat and calls|Calendar|Tasks|CRM|Sites|Drive|Market|Company|Find people, documents and more"
    "|Settings|Notifications",
    "de": "Feed|Chat und Anrufe|Kalender|Aufgaben|CRM|Websites|Drive|Market|Unternehmen"
    "|Personen, Dokumente und mehr finden|Einstellungen|Mitteilungen",
    "fr": "Fil d’actualités|Chat et appels|Calendrier|Tâches|CRM|Sites|Drive|Market|Entreprise"
    "|Trouver des personnes, des documents…|Paramètres|Notifications",
    "la": "Noticias|Chat y llamadas|Calendario|Tareas|CRM|Sitios|Drive|Market|Compañía"
    "|Buscar personas, documentos y más|Configuración|Notificaciones",
    "br": "Feed|Bate-papo e chamadas|Calendário|Tarefas|CRM|Sites|Drive|Market|Empresa"
    "|Encontrar pessoas, documentos e mais|Configurações|Notificações",
    "it": "Feed|Chat e chiamate|Calendario|Incarichi|CRM|Siti|Drive|Market|Azienda|Cerca persone, documenti e altro"
    "|Impostazioni|Notifiche",
    "pl": "Aktualności|Czat i rozmowy|Kalendarz|Zadania|CRM|Strony|Dysk|Market|Firma|Znajdź osoby, dokumenty i więcej"
    "|Ustawienia|Powiadomienia",
    "tr": "Akış|Sohbet ve aramalar|Takvim|Görevler|CRM|Siteler|Drive|Market|Şirket|Kişi, belge ve daha fazlasını bul"
    "|Ayarlar|Bildirimler",
    "ru": "Лента|Чат и звонки|Календарь|Задачи|CRM|Сайты|Диск|Маркет|Компания"
    "|Искать людей, документы и прочее|Настройки|Уведомления",
    "ua": "Стрічка|Чат і дзвінки|Календар|Завдання|CRM|Сайти|Диск|Маркет|Компанія|Шукати людей, документи та інше"
    "|Налаштування|Сповіщення",
    "ar": "آخر الأخبار|الدردشة والمكالمات|التقويم|المهام|CRM|المواقع|Drive|Market|الشركة|ابحث عن أشخاص ومستندات وغيرها"
    "|الإعدادات|الإشعارات",
    "ja": "フィード|チャットと通話|カレンダー|タスク|CRM|サイト|ドライブ|マーケット|会社|人や文書などを検索|設定|通知",
    "sc": "动态|聊天和通话|日历|任务|CRM|网站|网盘|应用市场|公司|查找人员、文档等|设置|通知",
}


def words(lang: str) -> dict[str, str]:
    """The chrome's words by key, English where a language has none."""
    return dict(zip(_KEYS, _WORDS.get(lang, _WORDS["en"]).split("|"), strict=True))


def html_lang(lang: str) -> str:
    """The BCP 47 tag for a Bitrix24 language code."""
    return HTML_LANG.get(lang, lang)
