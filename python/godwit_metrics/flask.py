"""For Flask applications: what Flask-Kadabra did.

    from flask import Flask, g
    from godwit_metrics.flask import Kadabra, record_metrics

    app = Flask(__name__)
    kadabra = Kadabra(app)

    @app.route("/")
    @record_metrics
    def index():
        g.metrics.add_count("visits", 1)
        return "Hello"

Flask is imported when an application is set up, not before.
"""

from .client import Client
from .wsgi import Request, current_metrics, enter, leave, record_metrics

__all__ = ["Kadabra", "current_metrics", "record_metrics"]


class Kadabra:
    def __init__(self, app=None, config=None):
        self.app = app
        if app is not None:
            self.init_app(app, config)

    def init_app(self, app, config=None):
        """Gives every request a collector in flask.g.metrics. Requests of views with
        record_metrics are sent when they end, unless app.config["DISABLE_KADABRA"] is true."""
        import flask

        app.kadabra = Client(config)
        self.app = app

        @app.before_request
        def begin():
            flask.g.metrics = app.kadabra.metrics()
            request = Request(flask.g.metrics)
            flask.g.godwit_request = (request, enter(request))

        @app.after_request
        def end(response):
            begun = flask.g.get("godwit_request")
            if begun is not None:
                disabled = bool(app.config.get("DISABLE_KADABRA"))
                begun[0].finish(app.kadabra, response.status_code, disabled)
            return response

        @app.teardown_request
        def forget(_error):
            begun = flask.g.pop("godwit_request", None)
            if begun is not None:
                leave(begun[1])
