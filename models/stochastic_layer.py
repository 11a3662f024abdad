"""What the ladder asks of a layer of latent variables, whatever their distribution."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class StochasticLayer(nn.Module, ABC):
    """`units` independent variables; posterior and prior are distributions of the same form.

    A distribution is a tensor `p` [B,units,..] that `distribution` makes of a query; a sample z has
    the shape that `draw` gives it.
    """

    units: int
    query_dim: int  # numbers a unit that `distribution` wants
    value_dim: int  # numbers a unit that `read` gives

    @abstractmethod
    def distribution(self, query: Tensor) -> Tensor:
        """[B,units,query_dim] -> p."""

    @abstractmethod
    def draw(self, p: Tensor, temperature: float) -> Tensor:
        """A sample of each variable that the gradient passes through; 0: of p itself."""

    @abstractmethod
    def mode(self, p: Tensor) -> Tensor:
        """The most likely value of each variable, shaped as a sample."""

    @abstractmethod
    def harden(self, z: Tensor) -> Tensor:
        """H(z): what p's densities are defined for."""

    @abstractmethod
    def log_prob(self, z: Tensor, p: Tensor) -> Tensor:
        """log p(z) in nats, summed over the units: [B]."""

    @abstractmethod
    def entropy(self, p: Tensor) -> Tensor:
        """In nats, summed over the units: [B]."""

    @abstractmethod
    def divergence(self, q: Tensor, p: Tensor) -> Tensor:
        """KL(q || p) in nats, summed over the units: [B]."""

    @abstractmethod
    def read(self, z: Tensor) -> Tensor:
        """What the networks see of a sample: [B,units,value_dim]."""
