"""What gunicorn and Flask start: `app:app`."""

from b24app.factory import create_app

app = create_app()
