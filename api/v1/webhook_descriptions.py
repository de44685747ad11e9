"""The OpenAPI description of the calls in `api/v1/webhooks.py`."""

from typing import Any

from api.v1.openapi import json_content, problem_answers


def _call(
    operation_id: str, answer: str, description: str, *problems: str, body: str = "", status: int = 200
) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operation_id": operation_id,
        "status_code": status,
        "responses": {
            status: {"description": description, "content": json_content(answer)},
            **problem_answers("invalid-request", "redis-unavailable", "server-busy", *problems),
        },
    }
    if body:
        content = {"required": True, "content": json_content(body)}
        described["openapi_extra"] = {"requestBody": content}
    return described


_REPEATED = ("not-found", "cross-site", "too-many-requests")
_BODY = ("payload-too-large", "unsupported-media-type", "cross-site", "request-timeout")

CREATE = _call("create_webhook", "WebhookEndpoint", "The endpoint.", *_BODY, body="NewWebhook", status=201)
LIST = _call("list_webhooks", "WebhookList", "The endpoints.")
READ = _call("read_webhook", "WebhookEndpoint", "The endpoint.", "not-found")
UPDATE = _call(
    "update_webhook", "WebhookEndpoint", "The endpoint.", "not-found", *_BODY, body="WebhookChange"
)
DELETE = _call("delete_webhook", "DeletedWebhook", "It is deleted.", "not-found", "cross-site")
TEST = _call("test_webhook", "WebhookDelivery", "A test event is on its way.", *_REPEATED, status=202)
ROTATE = _call(
    "rotate_webhook_secret", "WebhookEndpoint", "The endpoint with its new secret.", "not-found", "cross-site"
)
SECRET = _call("read_own_webhook_secret", "WebhookSecret", "The secret.")
ROTATE_SECRET = _call("rotate_own_webhook_secret", "WebhookSecret", "The new secret.", "cross-site")
DELIVERIES = _call("list_deliveries", "DeliveryPage", "A page of deliveries.", "forbidden")
DELIVERY = _call("read_delivery", "WebhookDelivery", "The delivery.", "not-found")
RETRY = _call("retry_delivery", "WebhookDelivery", "It is on its way again.", *_REPEATED, status=202)
