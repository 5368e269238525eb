"""A TransformerLens model as a source of activations: the one file that imports transformer_lens, when it is used."""

from __future__ import annotations

import contextlib
import difflib
import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from msae.activations.fingerprint import folder_fingerprint, parameter_fingerprint
from msae.activations.hooks import Replaceable, attached, carried, replacing_hook
from msae.activations.identity import model_fingerprint, tokenizer_fingerprint
from msae.activations.missing_tensors import has_head, missing_tensors, require_backbone
from msae.activations.model_files import cached_commit, cached_folder, folder_of, local_folder, quietly_loading
from msae.activations.model_kind import longest_context, require_one_stack
from msae.activations.readout import direct_unembedding
from msae.activations.source import ContextBatch, Replacement
from msae.activations.token_strings import token_strings
from msae.activations.tokenization import (
    NO_SPECIAL_TOKENS,
    ContextLayout,
    SpecialTokens,
    packed_contexts,
    special_tokens,
)
from msae.core.checked import checked
from msae.core.config import require
from msae.core.device import usable_device
from msae.core.dtypes import torch_dtypes
from msae.core.errors import SourceError
from msae.core.hook_names import legacy_name, part_of
from msae.core.hub import hub_as_reachable
from msae.core.spec import SourceSpec
from msae.data.documents import Document

if TYPE_CHECKING:
    from transformer_lens.hook_points import HookPoint
    from transformer_lens.model_bridge import TransformerBridge
else:
    HookPoint = TransformerBridge = Any

DTYPES = torch_dtypes()


@checked
class TransformerLensSource:
    """Activations at hooks of a language model: the residual stream after a block, or any other TransformerLens hook.

    `model`: a hub name, a folder saved by transformers, or a `TransformerBridge`. A bridge is put in evaluation mode
    and otherwise left as it is. One opened from a folder is taken to hold what the folder holds, unless `revision`
    names its weights otherwise.
    One of `hook_name`, `hook_names` (all from one pass) and `layer` says where: ``layer=n`` is the residual stream
    after block n, counted from 0. The model runs only as far as the last of the hooks.
    `context_size`: tokens a context, special tokens included. `batch_size`: contexts a pass.
    `prepend_bos`: whether a context opens with BOS; by default it does when the tokenizer defines one. An encoder's
    contexts are [CLS], one document, [SEP] in any case. `bos_between_documents`: whether BOS also separates the
    documents of a context. Rows at special tokens and padding are left out everywhere.
    `dtype`: ``float32`` (the default), ``bfloat16`` or ``float16``. `device`: by default a GPU where there is one.
    `compatibility_mode`: TransformerLens' weight processing (LayerNorm folded, weights centred); off by default.
    `revision`: a branch, tag or commit of a hub model.

    Raises `SourceError` for a model that cannot be opened, a hook it does not have or that gives no row a position;
    `ConfigError` for settings that contradict each other or the model.
    """

    def __init__(
        self,
        model: str | Path | TransformerBridge,
        hook_name: str | None = None,
        *,
        hook_names: Sequence[str] | None = None,
        layer: int | None = None,
        context_size: int = 128,
        batch_size: int = 32,
        prepend_bos: bool | None = None,
        bos_between_documents: bool = True,
        dtype: str | None = None,
        device: str | torch.device | None = None,
        compatibility_mode: bool = False,
        revision: str | None = None,
    ) -> None:
        given = [value for value in (hook_name, hook_names, layer) if value is not None]
        require(len(given) == 1, "hook_name, hook_names, layer", given, "exactly one of the three")
        require(batch_size > 0, "batch_size", batch_size, "a positive number of contexts")
        device = None if device is None else usable_device(device)
        if isinstance(model, str | Path):
            folder = local_folder(model)
            self.model = _open(folder or str(model), dtype or "float32", device, revision)
            self._missing = missing_tensors(type(self.model.original_model), folder or str(model), revision)
            files = folder or cached_folder(str(model), revision)
            revision = folder_fingerprint(folder) if folder else cached_commit(str(model), revision) or revision or ""
        else:
            self.model = _as_given(model, dtype, device, compatibility_mode)
            folder = folder_of(self.model.cfg.model_name)
            self._missing = missing_tensors(type(self.model.original_model), folder or self.model.cfg.model_name)
            files = None if revision else folder
            revision = revision or _fingerprint(self.model, folder)
        require_backbone(self._missing, str(folder or self.model.cfg.model_name))
        require_one_stack(self.model.original_model.config, self.model.cfg.model_name)
        if compatibility_mode and not self.model.compatibility_mode:
            self.model.enable_compatibility_mode(disable_warnings=True)
        self.model.eval()
        longest = longest_context(self.model.original_model, self.model.cfg.n_ctx)
        require(2 < context_size <= longest, "context_size", context_size, f"3 to {longest}, the most this model reads")
        self.device = torch.device(self.model.cfg.device)
        self.special: SpecialTokens = special_tokens(self.tokenizer) if self.has_tokenizer else NO_SPECIAL_TOKENS
        self._layout = self._make_layout(context_size, batch_size, prepend_bos, bos_between_documents)
        points = [self.hook_point(name) for name in self._names(hook_name, hook_names, layer)]
        self._captured_hooks = {str(point.name): point for point in points}
        weights = model_fingerprint(files, self.model.original_model.config) if files else ""
        self._specs = self._make_specs(folder, revision, weights)

    @property
    def specs(self) -> Mapping[str, SourceSpec]:
        """One `SourceSpec` per hook, keyed by the resolved hook name."""
        return self._specs

    @property
    def tokenizer(self) -> Any:
        """The model's Hugging Face tokenizer."""
        tokenizer = self.model.tokenizer
        if not self.has_tokenizer:
            raise SourceError(
                f"the model {self.model.cfg.model_name!r} has no tokenizer: put its tokenizer.json and "
                "tokenizer_config.json next to the weights (tokenizer.save_pretrained(folder))"
            )
        return tokenizer

    @cached_property
    def has_tokenizer(self) -> bool:
        """Whether the model has one; one that has none takes documents that are tokenized already."""
        tokenizer = self.model.tokenizer
        return tokenizer is not None and bool(tokenizer("text", add_special_tokens=False)["input_ids"])

    @property
    def layout(self) -> ContextLayout:
        """How contexts are laid out: what they open and close with."""
        return self._layout

    @property
    def is_causal(self) -> bool:
        """Whether each position sees only those before it."""
        causal_attention = getattr(self.model.cfg, "attention_dir", "causal") == "causal"
        return bool(causal_attention and self.model.adapter.supports_causal_loss)

    @property
    def has_language_head(self) -> bool:
        """Whether the logits mean something: a causal model whose head is in the checkpoint, or tied to its embedding.

        A checkpoint without a language head (a base model, a classifier, a reward model) opens with a random one.
        """
        return self.is_causal and has_head(self._missing, self.model.original_model.config)

    def token_strings(self, token_ids: Iterable[int] | Int[Tensor, " tokens"]) -> list[str]:
        """The text of each token by itself, leading blanks kept."""
        return token_strings(self.tokenizer, token_ids)

    def unembedding(self) -> Float[Tensor, "d_model vocab"] | None:
        """The matrix from the (normed) final residual stream to logits; None without a language head."""
        return self.model.W_U.detach() if self.has_language_head else None

    def direct_unembedding(self, hook_name: str) -> Float[Tensor, "d_in vocab"]:
        """The matrix from directions at a hook to their direct effect on logits: into the residual stream,
        through the final norm's gain (centred for a layer norm), into the unembedding; the norm's scale is left out.

        Raises `SourceError` without a language head, and where the hook's space is not the residual stream's.
        """
        return direct_unembedding(self, hook_name)

    def contexts(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """Batches of contexts of `context_size` tokens, always the same for the same documents.

        Causal models: documents follow one another, and only the last context is padded. Encoders: one document a
        context, a long one goes on in the next. No text is lost.
        """
        return self._contexts(documents, apart=False)

    def contexts_apart(self, documents: Iterable[Document]) -> Iterator[ContextBatch]:
        """The same with one document a context whatever the model is, padded on the right."""
        return self._contexts(documents, apart=True)

    def _contexts(self, documents: Iterable[Document], *, apart: bool) -> Iterator[ContextBatch]:
        n_tokens = self.model.cfg.d_vocab
        tokenizer = self.tokenizer if self.has_tokenizer else None
        for packed in packed_contexts(documents, tokenizer, self.special, self._layout, apart=apart):
            if (largest := int(packed.token_ids.max())) >= n_tokens:
                raise SourceError(
                    f"the text has token id {largest}, but the model {self.model.cfg.model_name!r} knows {n_tokens} "
                    "tokens: the tokenizer belongs to another model"
                )
            yield ContextBatch.from_packed(packed)

    def activations(self, batch: ContextBatch) -> dict[str, Float[Tensor, "batch context d_in"]]:
        """Every hook's activations from one pass that stops at the last hook, on the source's device, no gradient.

        Trailing dimensions (heads, their width) are joined into one. Columns that are padding throughout are not run
        and hold zeros.
        """
        context = batch.token_ids.shape[1]
        width = int(batch.attention.any(dim=0).nonzero().max()) + 1
        captured = self._capture(batch.token_ids[:, :width], batch.attention[:, :width])
        return {name: _widened(tensor.flatten(start_dim=2), context) for name, tensor in captured.items()}

    def logits(
        self, batch: ContextBatch, replace: Mapping[str, Replacement] | None = None
    ) -> Float[Tensor, "batch context vocab"]:
        """The model's logits, with the activations at each hook of `replace` put through its function.

        Any hook of the model may be named. The function gets the activations and `batch.keep`; special positions keep
        the activations they had, whatever it returns for them. What replaces the residual stream in the middle of a
        block (`hook_resid_mid`) goes on in the stream as well as into the MLP, as in TransformerLens 3. Use
        `torch.no_grad()` unless you want gradients.
        """
        with self.replacing(replace or {}, batch.keep):
            return self._forward(batch.token_ids, batch.attention)

    @contextlib.contextmanager
    def replacing(
        self, replace: Mapping[str, Replacement], keep: Bool[Tensor, "batch context"] | None = None
    ) -> Iterator[None]:
        """Inside the block, every pass of `self.model` has the activations at each hook put through its function.

        `keep` is True where activations may be replaced; when it is None, that is everywhere but at special tokens,
        read off the tokens that enter the model.
        """
        with contextlib.ExitStack() as stack:
            where = Replaceable(keep, self.special.ids)
            if keep is None:
                embedding = self.model.original_model.get_input_embeddings()
                stack.callback(embedding.register_forward_pre_hook(where.see_tokens).remove)
            hooks: list[Any] = []
            for name, function in replace.items():
                hook = replacing_hook(name, function, where)
                if block := self._block_of_mid_stream(name):
                    hook, carry = carried(hook)
                    hooks.insert(0, (f"{block}.hook_out", carry))
                hooks.append((name, hook))
            for name, hook in hooks:
                stack.enter_context(attached(self.hook_point(name), hook))
            yield

    def _block_of_mid_stream(self, name: str) -> str | None:
        """The block in whose middle the residual stream is hooked: there the hook is on the MLP's branch alone."""
        mid = next((alias for alias in self.names_of(name) if alias.endswith(".hook_resid_mid")), None)
        return mid.removesuffix(".hook_resid_mid") if mid else None

    def names_of(self, name: str) -> list[str]:
        """Every name of the hook that `name` names, the one its module has first."""
        point = self.hook_point(name)
        return [str(point.name), *(other for other, candidate in self._hook_points.items() if candidate is point)]

    def _aliases(self, name: str) -> list[str]:
        """The names of the hook, or of the part that it ends."""
        part = part_of(name)
        return self.names_of(part if part in self._hook_points else name)

    def hook_point(self, name: str) -> HookPoint:
        """The hook of that name or alias. Without one, `SourceError` lists the nearest names."""
        if name in self._hook_points:
            return self._hook_points[name]
        n_layers = len(getattr(self.model, "blocks", ()))
        block = re.match(r"blocks\.(\d+)\.", name)
        if block and int(block[1]) >= n_layers > 0:
            raise SourceError(f"no hook {name!r}: the model has {n_layers} layers, blocks.0 to blocks.{n_layers - 1}")
        close = difflib.get_close_matches(name, self._hook_points, n=4, cutoff=0.4)
        nearest = f"the nearest are {', '.join(close)}" if close else "model.hook_dict has all of them"
        raise SourceError(f"the model has no hook {name!r}: {nearest}")

    @cached_property
    def _hook_points(self) -> dict[str, HookPoint]:
        return dict(self.model.hook_dict)

    @cached_property
    def _forward_options(self) -> dict[str, bool]:
        """Switches off what the model would keep of a pass: past keys and values, every attention pattern."""
        accepted = inspect.signature(self.model.original_model.forward).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        config = self.model.original_model.config
        names = ("use_cache", "output_attentions")
        return {name: False for name in names if hasattr(config, name) and (takes_any or name in accepted)}

    def _names(self, hook_name: str | None, hook_names: Sequence[str] | None, layer: int | None) -> Sequence[str]:
        if layer is None:
            names = [hook_name] if hook_name is not None else list(hook_names or ())
            require(len(names) > 0, "hook_names", hook_names, "at least one hook")
            return names
        blocks = len(getattr(self.model, "blocks", ()))
        if blocks == 0:
            raise SourceError(
                f"layer={layer}: TransformerLens gives {self.model.cfg.model_name} no `blocks`: name a hook of "
                "model.hook_dict instead"
            )
        if not 0 <= layer < blocks:
            raise SourceError(f"no layer {layer}: the model has {blocks} layers, 0 to {blocks - 1}")
        return [f"blocks.{layer}.hook_resid_post"]

    def _make_layout(
        self, context_size: int, batch_size: int, prepend_bos: bool | None, bos_between_documents: bool
    ) -> ContextLayout:
        encoder = not self.is_causal and self.special.cls is not None and self.special.sep is not None
        bos = self.special.bos if prepend_bos is None else self.tokenizer.bos_token_id if prepend_bos else None
        return ContextLayout(
            context_size=context_size,
            batch_size=batch_size,
            opening=self.special.cls if encoder else bos,
            closing=self.special.sep if encoder else None,
            bos_between_documents=bos_between_documents and bos is not None and not encoder,
        )

    def _make_specs(self, folder: Path | None, revision: str, weights: str) -> dict[str, SourceSpec]:
        tokenizer = tokenizer_fingerprint(self.tokenizer) if self.has_tokenizer else ""
        processed = self.model.compatibility_mode and getattr(self.model, "_weights_processed", True)
        return {
            hook: SourceSpec(
                kind="transformer_lens",
                model=folder.name if folder else str(self.model.cfg.model_name),
                model_path=str(folder or ""),
                revision=revision,
                weights=weights,
                tokenizer=tokenizer,
                hook_name=hook,
                legacy_hook_name=legacy_name(hook, self._aliases(hook)),
                d_in=d_in,
                weight_processing="compatibility" if processed else "raw",
                dtype=str(self.model.cfg.dtype).removeprefix("torch."),
                prepend_bos=self._layout.opening is not None,
                bos_between_documents=self._layout.bos_between_documents,
                context_size=self._layout.context_size,
            )
            for hook, d_in in self._probe().items()
        }

    def _probe(self) -> dict[str, int]:
        """Numbers a row at each hook, seen on a tiny input; `SourceError` for a hook that gives no row a position."""
        shape = (2, 3 if self.model.cfg.n_heads != 3 else 4)  # so that no axis of heads passes for one of positions
        captured = self._capture(torch.zeros(shape, dtype=torch.int64), torch.ones(shape, dtype=torch.bool))
        for name, tensor in captured.items():
            if tensor.ndim < 3 or tuple(tensor.shape[:2]) != shape or not tensor.is_floating_point():
                raise SourceError(
                    f"{name} gives {tensor.dtype} of shape {tuple(tensor.shape)} for {shape[0]} contexts of {shape[1]} "
                    "tokens; a source needs (context, position, ...): a row of numbers a position"
                )
        return {name: tensor.flatten(start_dim=2).shape[2] for name, tensor in captured.items()}

    @torch.no_grad()
    def _capture(
        self, token_ids: Int[Tensor, "batch width"], attention: Bool[Tensor, "batch width"]
    ) -> dict[str, Tensor]:
        from transformer_lens.model_bridge.exceptions import StopAtLayerException

        captured: dict[str, Tensor] = {}

        def capture(tensor: Tensor, hook: HookPoint) -> None:
            captured[str(hook.name)] = tensor
            if len(captured) == len(self._captured_hooks):
                raise StopAtLayerException(tensor)

        with contextlib.ExitStack() as stack:
            for point in self._captured_hooks.values():
                stack.enter_context(attached(point, capture))
            self._forward(token_ids, attention)
        if missing := self._captured_hooks.keys() - captured.keys():
            raise SourceError(
                f"the model ran without reaching {sorted(missing)}: such a hook exists and is switched off "
                "(attention inputs and per-head results need model.set_use_attn_in(True) and the like)"
            )
        return {name: captured[name] for name in self._captured_hooks}

    def _forward(self, token_ids: Int[Tensor, "batch width"], attention: Bool[Tensor, "batch width"]) -> Tensor:
        # Padding on the right changes nothing a causal model computes before it.
        mask = {} if self.is_causal else {"attention_mask": attention.long().to(self.device)}
        return self.model(token_ids.to(self.device), **mask, **self._forward_options)


def _widened(rows: Float[Tensor, "batch width d_in"], context: int) -> Float[Tensor, "batch context d_in"]:
    if rows.shape[1] == context:
        return rows
    wide = rows.new_zeros(rows.shape[0], context, rows.shape[2])
    wide[:, : rows.shape[1]] = rows
    return wide


def _open(model: str | Path, dtype: str, device: str | torch.device | None, revision: str | None) -> TransformerBridge:
    from transformer_lens.model_bridge import TransformerBridge

    require(dtype in DTYPES, "dtype", dtype, f"one of {', '.join(DTYPES)}")
    if isinstance(model, Path):
        require(revision is None, "revision", revision, "None for a folder: its weights are fingerprinted")
    try:
        with quietly_loading(), contextlib.nullcontext() if isinstance(model, Path) else hub_as_reachable():
            bridge = TransformerBridge.boot_transformers(
                str(model), dtype=DTYPES[dtype], device=device, revision=revision
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        named = f"the folder {model}" if isinstance(model, Path) else f"{model!r} from the hub or its cache"
        hint = "" if isinstance(model, Path) else " Check the name and the network, or give a folder."
        raise SourceError(f"could not open {named}: {str(error).strip().partition(chr(10))[0]}{hint}") from error
    bridge.original_model.requires_grad_(False)
    return bridge


def _as_given(
    bridge: TransformerBridge, dtype: str | None, device: str | torch.device | None, compatibility_mode: bool
) -> TransformerBridge:
    if not hasattr(bridge, "hook_dict") or not hasattr(bridge, "original_model"):
        raise SourceError(
            f"a model is a hub name, a folder or a TransformerBridge, not {type(bridge).__name__}; "
            "for another nn.Module use ModuleSource"
        )
    have = {
        "dtype": str(bridge.cfg.dtype).removeprefix("torch."),
        "device": torch.device(bridge.cfg.device).type,
        "compatibility_mode": bridge.compatibility_mode,
    }
    wanted = {
        "dtype": dtype or have["dtype"],
        "device": torch.device(device).type if device is not None else have["device"],
        "compatibility_mode": compatibility_mode or have["compatibility_mode"],
    }
    for name, value in wanted.items():
        require(value == have[name], name, value, f"{have[name]!r}, as the bridge is; change the bridge first")
    return bridge


def _fingerprint(bridge: TransformerBridge, folder: Path | None) -> str:
    """Of the folder the bridge was opened from, else of its parameters (but its head, which may be a random one)."""
    return folder_fingerprint(folder) if folder else parameter_fingerprint(bridge.original_model.base_model)
