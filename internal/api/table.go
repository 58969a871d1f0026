package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"crier/adapters"
	"crier/internal/team"
)

// table lists every route of the API.
func (a *api) table() []route {
	const get, send, patch, del = http.MethodGet, http.MethodPost, http.MethodPatch, http.MethodDelete
	to := func(f func(*call, context.Context) (*answer, error)) func(context.Context, *call) (*answer, error) {
		return func(ctx context.Context, c *call) (*answer, error) { return f(c, ctx) }
	}
	return []route{
		{method: send, path: "/posts", id: "create-post", summary: "Create a post", tag: "posts", scope: team.PostsDraft, body: PostBody{}, answer: Post{}, status: 201, handle: to((*call).createPost)},
		{method: send, path: "/posts/validate", id: "validate-post", summary: "Check a post without storing it", tag: "posts", scope: team.PostsDraft, body: PostBody{}, answer: Validation{}, reads: true, handle: to((*call).validatePost)},
		{method: get, path: "/posts", id: "list-posts", summary: "List posts, newest first", tag: "posts", scope: team.PostsRead, query: postQuery{}, answer: Page[Post]{}, handle: to((*call).listPosts)},
		{method: get, path: "/posts/{id}", id: "get-post", summary: "Read a post", tag: "posts", scope: team.PostsRead, answer: Post{}, handle: to((*call).getPost)},
		{method: patch, path: "/posts/{id}", id: "patch-post", summary: "Change a post by a JSON merge patch; targets are matched by id", tag: "posts", scope: team.PostsDraft, body: PostBody{}, answer: Edited{}, ifMatch: true, handle: to((*call).patchPost)},
		{method: del, path: "/posts/{id}", id: "delete-post", summary: "Cancel all of a post that is not out", tag: "posts", scope: team.PostsDraft, answer: Edited{}, handle: to((*call).deletePost)},
		{method: send, path: "/posts/{id}/submit", id: "submit-post", summary: "Send a draft", tag: "posts", scope: team.PostsWrite, answer: Post{}, handle: to((*call).submitPost)},
		{method: get, path: "/posts/{id}/history", id: "post-history", summary: "Who did what, when, from which state to which", tag: "posts", scope: team.PostsRead, query: pageQuery{}, answer: Page[Change]{}, handle: to((*call).history)},

		{method: get, path: "/deliveries", id: "list-deliveries", summary: "List deliveries by due time", tag: "deliveries", scope: team.PostsRead, query: deliveryQuery{}, answer: Page[Delivery]{}, handle: to((*call).listDeliveries)},
		{method: get, path: "/deliveries/{id}", id: "get-delivery", summary: "Read a delivery with its content and attempts", tag: "deliveries", scope: team.PostsRead, answer: Delivery{}, handle: to((*call).getDelivery)},
		{method: send, path: "/deliveries/{id}/reschedule", id: "reschedule-delivery", summary: "Move a delivery", tag: "deliveries", scope: team.PostsWrite, body: atBody{}, answer: Delivery{}, handle: to((*call).reschedule)},
		{method: send, path: "/deliveries/{id}/cancel", id: "cancel-delivery", summary: "Withdraw a delivery", tag: "deliveries", scope: team.PostsWrite, answer: Delivery{}, handle: to((*call).cancelDelivery)},
		{method: send, path: "/deliveries/{id}/retry", id: "retry-delivery", summary: "Send a failed, missed or partial delivery again", tag: "deliveries", scope: team.PostsWrite, body: atBody{}, answer: Delivery{}, ifMatch: true, handle: to((*call).retry)},
		{method: send, path: "/deliveries/{id}/resolve", id: "resolve-delivery", summary: "Say whether an unconfirmed delivery is out", tag: "deliveries", scope: team.PostsWrite, body: resolveBody{}, answer: Delivery{}, ifMatch: true, handle: to((*call).resolve)},
		{method: send, path: "/deliveries/{id}/accept", id: "accept-delivery", summary: "A partial delivery is good enough", tag: "deliveries", scope: team.PostsWrite, answer: Delivery{}, handle: to((*call).accept)},

		{method: send, path: "/series", id: "create-series", summary: "Create a recurring post", tag: "series", scope: seriesScope, body: seriesBody{}, answer: Series{}, status: 201, handle: to((*call).createSeries)},
		{method: get, path: "/series", id: "list-series", summary: "List recurring posts", tag: "series", scope: team.PostsRead, query: pageQuery{}, answer: Page[Series]{}, handle: to((*call).listSeries)},
		{method: get, path: "/series/{id}", id: "get-series", summary: "Read a recurring post", tag: "series", scope: team.PostsRead, answer: Series{}, handle: to((*call).getSeries)},
		{method: patch, path: "/series/{id}", id: "patch-series", summary: "Change a recurring post; its runs that have not begun are made anew", tag: "series", scope: seriesScope, body: seriesBody{}, answer: Series{}, handle: to((*call).patchSeries)},
		{method: del, path: "/series/{id}", id: "delete-series", summary: "End a recurring post and cancel its runs that have not begun", tag: "series", scope: seriesScope, handle: to((*call).deleteSeries)},
		{method: get, path: "/series/{id}/preview", id: "preview-series", summary: "List the next runs", tag: "series", scope: team.PostsRead, query: previewQuery{}, answer: Page[Run]{}, handle: to((*call).previewSeries)},
		{method: send, path: "/series/{id}/skip", id: "skip-run", summary: "Leave out one run", tag: "series", scope: seriesScope, body: skipBody{}, answer: Series{}, handle: to((*call).skipRun)},

		{method: send, path: "/media", id: "upload-media", summary: "Store a picture or a video", tag: "media", scope: team.MediaWrite, body: mediaBody{}, answer: MediaView{}, status: 201, multipart: true, handle: to((*call).uploadMedia)},
		{method: get, path: "/media", id: "list-media", summary: "List files, newest first", tag: "media", scope: team.PostsRead, query: pageQuery{}, answer: Page[MediaView]{}, handle: to((*call).listMedia)},
		{method: get, path: "/media/{id}", id: "get-media", summary: "Read what is known of a file", tag: "media", scope: team.PostsRead, answer: MediaView{}, handle: to((*call).getMedia)},
		{method: get, path: "/media/{id}/content", id: "media-content", summary: "Read a file", tag: "media", scope: team.PostsRead, file: true, handle: to((*call).mediaContent)},
		{method: del, path: "/media/{id}", id: "delete-media", summary: "Remove a file that nothing still to be sent uses", tag: "media", scope: team.MediaWrite, handle: to((*call).deleteMedia)},

		{method: get, path: "/accounts", id: "list-accounts", summary: "List accounts", tag: "accounts", scope: team.AccountsRead, query: pageQuery{}, answer: Page[Account]{}, handle: to((*call).listAccounts)},
		{method: get, path: "/accounts/{handle}", id: "get-account", summary: "Read an account", tag: "accounts", scope: team.AccountsRead, answer: Account{}, handle: to((*call).getAccount)},
		{method: get, path: "/accounts/{handle}/capabilities", id: "account-capabilities", summary: "What the platform takes, with limits", tag: "accounts", scope: team.AccountsRead, answer: adapters.Capabilities{}, handle: to((*call).capabilities)},
		{method: send, path: "/accounts/{handle}/pause", id: "pause-account", summary: "Hold everything of an account", tag: "accounts", scope: team.PostsWrite, body: pauseBody{}, answer: Account{}, handle: to((*call).pauseAccount)},
		{method: send, path: "/accounts/{handle}/resume", id: "resume-account", summary: "End a pause", tag: "accounts", scope: team.PostsWrite, body: lateBody{}, answer: Account{}, handle: to((*call).resumeAccount)},
		{method: send, path: "/accounts/{handle}/verify", id: "verify-account", summary: "Ask the platform whose token the account holds", tag: "accounts", scope: team.AccountsManage, answer: Verified{}, handle: to((*call).verifyAccount)},

		{method: send, path: "/pause", id: "pause", summary: "Stop everything, one kind or one brand", tag: "control", scope: team.PostsWrite, body: stopBody{}, answer: Paused{}, handle: to((*call).pauseAll)},
		{method: send, path: "/resume", id: "resume", summary: "End a stop", tag: "control", scope: team.PostsWrite, body: resumeBody{}, answer: Status{}, handle: to((*call).resumeAll)},
		{method: get, path: "/plan", id: "plan", summary: "Every firing in a window", tag: "control", scope: team.PostsRead, query: planQuery{}, answer: Plan{}, handle: to((*call).plan)},
		{method: get, path: "/status", id: "status", summary: "How Crier is doing", tag: "control", answer: Status{}, handle: to((*call).status)},

		{method: send, path: "/keys", id: "create-key", summary: "Make an API key, shown once", tag: "keys", scope: team.Admin, body: keyBody{}, answer: NewKeyView{}, status: 201, handle: to((*call).createKey)},
		{method: get, path: "/keys", id: "list-keys", summary: "List keys", tag: "keys", query: pageQuery{}, answer: Page[Key]{}, handle: to((*call).listKeys)},
		{method: del, path: "/keys/{id}", id: "delete-key", summary: "Revoke a key", tag: "keys", scope: team.Admin, handle: to((*call).deleteKey)},
		{method: get, path: "/me", id: "me", summary: "Who asks, and what they may", tag: "keys", answer: Me{}, handle: to((*call).me)},
	}
}

// operation is the route as the OpenAPI document knows it, without the parts that need a registry of types.
func (r *route) operation() *huma.Operation {
	op := &huma.Operation{Method: r.method, Path: r.path, OperationID: r.id, Summary: r.summary, Tags: []string{r.tag}}
	if r.scope != "" {
		op.Description = "Needs the scope " + string(r.scope) + "."
	}
	for part := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			op.Parameters = append(op.Parameters, text(strings.TrimSuffix(name, "}"), "path", true, ""))
		}
	}
	if r.query != nil {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(r.query)) {
			name := f.Tag.Get("query")
			if name == "" {
				continue
			}
			p := text(name, "query", false, f.Tag.Get("doc"))
			if f.Type.Kind() == reflect.Int {
				p.Schema = &huma.Schema{Type: huma.TypeInteger}
			}
			op.Parameters = append(op.Parameters, p)
		}
	}
	if r.method == http.MethodPost {
		op.Parameters = append(op.Parameters, text("Idempotency-Key", "header", false, "The same key and body give the stored answer again, for 24 hours."))
	}
	if r.id == "create-post" {
		op.Parameters = append(op.Parameters, text("Prefer", "header", false, "wait=30 waits up to 30 s for a post that goes at once."))
	}
	if r.ifMatch {
		op.Parameters = append(op.Parameters, text("If-Match", "header", true, "The ETag of what is changed."))
	}
	return op
}

func text(name, in string, required bool, doc string) *huma.Param {
	return &huma.Param{Name: name, In: in, Required: required, Description: doc, Schema: &huma.Schema{Type: huma.TypeString}}
}
