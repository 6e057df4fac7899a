"""Bug hunt: eight listings, each with one broken line.

Lecture 2, slides "Composition of normalizing flows" to "RealNVP". About 40 minutes.

Each listing was right, until one line of it was changed. Below it stands a counterexample: a call, what it gives, and
what it must give. The formulas are those of the slides, with mu and sigma of the sampling direction, x = sigma z + mu;
samples are rows, images are (n, height, width, c). Find the line. Where you are not sure, run the listing.

Listing 1, the Gaussian autoregressive flow, sampling:

     1  def inverse(z, network):
     2      x = np.zeros_like(z)
     3      log_det = np.zeros(len(z))
     4      for j in range(z.shape[1]):
     5          mu, log_sigma = network(z)
     6          x[:, j] = np.exp(log_sigma[:, j]) * z[:, j] + mu[:, j]
     7          log_det += log_sigma[:, j]
     8      return x, log_det

    network = lambda x: (np.cumsum(x, axis=1) - x, np.log(2) * (np.cumsum(x, axis=1) - x))
    call:     inverse(np.array([[1.0, 2.0, 1.0]]), network)[0]
    gives:    [[1, 5, 11]]
    must be:  [[1, 5, 70]]

Listing 2, a coupling layer, density:

     1  def forward(x, network):
     2      d = x.shape[1] // 2
     3      x_1, x_2 = x[:, :d], x[:, d:]
     4      mu, log_sigma = network(x_1)
     5      z_2 = (x_2 - mu) * np.exp(-log_sigma)
     6      z = np.concatenate([x_1, z_2], axis=1)
     7      log_det = -np.sum(log_sigma, axis=0)
     8      return z, log_det

    network = lambda x_1: (x_1, x_1)
    call:     forward(np.array([[1.0, 0.0, 3.0, 4.0], [2.0, 3.0, 5.0, 6.0]]), network)[1]
    gives:    [-3, -3]
    must be:  [-1, -5]

Listing 3, a coupling layer of two coordinates, with its gradient:

     1  def forward_vjp(x, network_vjp):
     2      x_1, x_2 = x[:, :1], x[:, 1:]
     3      (mu, log_sigma), pull = network_vjp(x_1)
     4      z_2 = (x_2 - mu) * np.exp(-log_sigma)
     5      def vjp(grad_z, grad_log_det):
     6          grad_z_1, grad_z_2 = grad_z[:, :1], grad_z[:, 1:]
     7          grad_x_2 = grad_z_2 * np.exp(-log_sigma)
     8          grad_log_sigma = -grad_z_2 * (x_2 - mu) - grad_log_det[:, None]
     9          grad_x_1, grad_theta = pull(-grad_x_2, grad_log_sigma)
    10          grad_x = np.concatenate([grad_z_1 + grad_x_1, grad_x_2], axis=1)
    11          return grad_x, grad_theta
    12      return (np.concatenate([x_1, z_2], axis=1), -log_sigma.sum(axis=1)), vjp

    def network_vjp(x_1):
        pull = lambda grad_mu, grad_log_sigma: (
            grad_mu + np.log(2) * grad_log_sigma, np.array([(grad_mu * x_1).sum(), (grad_log_sigma * x_1).sum()]))
        return (x_1, np.log(2) * x_1), pull
    call:     forward_vjp(np.array([[1.0, 3.0]]), network_vjp)[1](np.array([[1.0, 1.0]]), np.array([0.0]))[1]
    gives:    [-0.5, -2]
    must be:  [-0.5, -1]

Listing 4, the density of a composition:

     1  def log_prob(x, flows):
     2      total = np.zeros(len(x))
     3      z = x
     4      for flow in flows:
     5          z, log_det = flow(z)
     6          total = log_det
     7      m = x.shape[1]
     8      log_p_z = -0.5 * np.sum(z ** 2, axis=1) - 0.5 * m * np.log(2 * np.pi)
     9      return log_p_z + total

    double = lambda x: (2 * x, np.full(len(x), x.shape[1] * np.log(2)))
    call:     log_prob(np.zeros((1, 2)), [double, double, double])
    gives:    [-0.4516]
    must be:  [2.321]

Listing 5, PLU, z = P L U x, with its gradient:

     1  def plu_vjp(x, perm, below, log_diagonal, above):
     2      L = np.eye(len(perm)) + np.tril(below, -1)
     3      U = np.diag(np.exp(log_diagonal)) + np.triu(above, 1)
     4      h = x @ U.T
     5      z = (h @ L.T)[:, perm]
     6      log_det = np.full(len(x), log_diagonal.sum())
     7      def vjp(grad_z, grad_log_det):
     8          grad_y = grad_z[:, np.argsort(perm)]
     9          grad_h = grad_y @ L
    10          grad_L = np.tril(grad_y.T @ x, -1)
    11          grad_U = grad_h.T @ x
    12          grad_diagonal = np.diag(grad_U) * np.exp(log_diagonal) + grad_log_det.sum()
    13          return grad_h @ U, grad_L, grad_diagonal, np.triu(grad_U, 1)
    14      return (z, log_det), vjp

    x, ones, zero = np.array([[1.0, 2.0, 3.0]]), np.ones((3, 3)), np.zeros(3)
    call:     plu_vjp(x, [1, 2, 0], ones, zero, ones)[1](np.array([[1.0, 0.0, 2.0]]), zero[:1])[1]
    gives:    [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
    must be:  [[0, 0, 0], [6, 0, 0], [0, 0, 0]]

Listing 6, MADE's masks, inputs of degrees 1 to m:

     1  def masks(m, widths):
     2      degrees = [np.arange(m) + 1]
     3      for width in widths:
     4          degrees.append(np.arange(width) % (m - 1) + 1)
     5      result = []
     6      for below, above in zip(degrees[:-1], degrees[1:]):
     7          result.append(above[:, None] > below[None, :])
     8      result.append(degrees[0][:, None] > degrees[-1][None, :])
     9      return [mask.astype(float) for mask in result]

    sees = lambda masks: (np.linalg.multi_dot(masks[::-1]) > 0) * 1
    call:     sees(masks(3, (2, 2)))
    gives:    [[0, 0, 0], [0, 0, 0], [0, 0, 0]]
    must be:  [[0, 0, 0], [1, 0, 0], [1, 1, 0]]

Listing 7, the invertible 1x1 convolution:

     1  def conv1x1(x, W):
     2      n, height, width, c = x.shape
     3      pixels = x.reshape(-1, c)
     4      z = (pixels @ W.T).reshape(n, height, width, c)
     5      sign, log_abs_det = np.linalg.slogdet(W)
     6      log_det = c * width * log_abs_det
     7      return z, np.full(n, log_det)

    W = np.array([[1.0, 2.0], [0.0, 2.0]])
    call:     conv1x1(np.ones((1, 3, 2, 2)), W)[1]
    gives:    [2.773]
    must be:  [4.159]

Listing 8, activation normalization, z = (x - mu) / sigma, with mean 0 and variance 1 in each channel at first:

     1  def initialize(x):
     2      mu = x.mean(axis=(0, 1, 2))
     3      variance = np.mean((x - mu) ** 2, axis=(0, 1, 2))
     4      return mu, np.log(variance)
     5  def forward(x, mu, log_sigma):
     6      z = (x - mu) * np.exp(-log_sigma)
     7      pixels = x.shape[1] * x.shape[2]
     8      log_det = -pixels * np.sum(log_sigma)
     9      return z, np.full(len(x), log_det)

    x = np.array([0.0, 0.0, 4.0, 6.0, 8.0, 0.0, 4.0, 6.0]).reshape(1, 2, 2, 2)
    call:     forward(x, *initialize(x))[0].var(axis=(0, 1, 2))
    gives:    [0.125, 0.1111]
    must be:  [1, 1]
"""


def bug_hunt_lines():
    """The numbers of the broken lines, of listings 1 to 8 in order: a list of eight whole numbers.

    Guessing does not pay: listings count in pairs, 1 and 2, 3 and 4, 5 and 6, 7 and 8. Of a pair, both must be right.
    """
    raise NotImplementedError
