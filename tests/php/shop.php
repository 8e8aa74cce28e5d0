<?php
/**
 * Stands for as much of WooCommerce as the plugin touches, where WooCommerce itself is absent. Orders and products are
 * in the option "shop"; pages are shown by /?shop=PAGE&order=ID.
 */

if ( ! class_exists( 'WooCommerce' ) && ! function_exists( 'wc_get_order' ) ) :

	/** A product, by its fields. */
	class WC_Product {
		public $data;
		public function __construct( $data ) {
			$this->data = $data;
		}
		public function get_meta( $key ) {
			return $this->data['meta'][ $key ] ?? '';
		}
		public function update_meta_data( $key, $value ) {
			$this->data['meta'][ $key ] = $value;
		}
		public function delete_meta_data( $key ) {
			unset( $this->data['meta'][ $key ] );
		}
		public function get_id() {
			return $this->data['id'];
		}
		public function get_name() {
			return $this->data['sku'];
		}
		public function get_sku() {
			return $this->data['sku'] ?? '';
		}
		public function get_type() {
			return $this->data['type'] ?? 'simple';
		}
		public function get_parent_id() {
			return $this->data['parent'] ?? 0;
		}
		public function get_permalink() {
			return home_url( '/?shop=product&product=' . $this->data['id'] );
		}
	}

	/** A line of an order. */
	class WC_Order_Item_Product {
		public $data;
		public function __construct( $data = array() ) {
			$this->data = $data;
		}
		public function get_product() {
			return wc_get_product( $this->data['product'] ?? 0 );
		}
		public function get_quantity() {
			return $this->data['quantity'] ?? 1;
		}
		public function get_meta( $key ) {
			return $this->data['meta'][ $key ] ?? '';
		}
		public function add_meta_data( $key, $value, $unique = false ) {
			$this->data['meta'][ $key ] = $value;
		}
	}

	/** An order. */
	class WC_Order {
		public $data;
		public function __construct( $data ) {
			$this->data = $data;
		}
		public function get_id() {
			return $this->data['id'];
		}
		public function get_customer_id() {
			return $this->data['customer'];
		}
		public function is_paid() {
			return $this->has_status( array( 'processing', 'completed' ) );
		}
		public function has_status( $status ) {
			return in_array( $this->data['status'], (array) $status, true );
		}
		public function get_items() {
			return array_map(
				function ( $line ) {
					return new WC_Order_Item_Product( $line );
				},
				$this->data['lines']
			);
		}
	}

	function wc_get_order( $id ) {
		$shop = get_option( 'shop', array() );
		return isset( $shop['orders'][ $id ] ) ? new WC_Order( array( 'id' => (int) $id ) + $shop['orders'][ $id ] ) : false;
	}

	function wc_get_product( $id ) {
		$shop = get_option( 'shop', array() );
		return isset( $shop['products'][ $id ] ) ? new WC_Product( array( 'id' => (int) $id ) + $shop['products'][ $id ] ) : false;
	}

	/** What is in the cart: the option "shop", too. */
	function WC() {
		$cart = new class() {
			public function get_cart() {
				return array_map(
					function ( $item ) {
						return array( 'data' => wc_get_product( $item['product'] ) ) + $item;
					},
					get_option( 'shop', array() )['cart'] ?? array()
				);
			}
		};
		return (object) array( 'cart' => $cart );
	}

	function wc_add_notice( $text, $kind ) {
		$GLOBALS['shop_notices'][] = array( $kind, $text );
	}

	function wc_get_page_permalink( $page, $fallback = null ) {
		return ( get_option( 'shop', array() )['account'] ?? false ) ? home_url( '/?shop=account' ) : $fallback;
	}

	function is_account_page() {
		return 'account' === ( $_GET['shop'] ?? '' );
	}

	/** What WooCommerce tells staff on the product's edit page. */
	class WC_Admin_Meta_Boxes {
		public static function add_error( $text ) {
			$GLOBALS['shop_notices'][] = array( 'error', $text );
		}
	}

endif;

// The page to sign in moves the cursor 0.2 s after it is there, maybe out of the field that is just filled in.
add_filter( 'enable_login_autofocus', '__return_false' );
// Pictures of people would come from another machine.
add_filter( 'pre_option_show_avatars', '__return_zero' );

/** Measure what the shutdown costs. */
function shop_measures() {
	add_action( 'shutdown', function () {
		$GLOBALS['shop_began'] = microtime( true );
	}, 999 );
	add_action( 'shutdown', function () {
		update_option( 'shop_took', microtime( true ) - $GLOBALS['shop_began'], false );
	}, 1001 );
}

/** Show a page of the shop, as WooCommerce's templates call the hooks; and say whether there was one to show. */
function shop_page() {
	$order = absint( $_GET['order'] ?? 0 );
	switch ( $_GET['shop'] ?? '' ) {
		case 'thankyou':
			do_action( 'woocommerce_thankyou', $order );
			return true;
		case 'order':
			do_action( 'woocommerce_view_order', $order );
			return true;
		case 'account':
			// WooCommerce's own form, too, comes back to the page that it stands on.
			wp_login_form();
			return true;
		case 'courses':
			do_action( 'woocommerce_account_my-courses_endpoint', '' );
			return true;
		case 'product':
			$GLOBALS['product'] = wc_get_product( absint( $_GET['product'] ?? 0 ) );
			do_action( 'woocommerce_before_add_to_cart_form' );
			echo '<form method="post">';
			do_action( 'woocommerce_before_add_to_cart_button' );
			echo '<input type="number" name="quantity" value="1"><button>Buy</button></form>';
			return true;
		case 'pay':
			if ( isset( $_GET['fpm'] ) ) {
				/** As PHP-FPM has it: from here on, the shopper waits no more. */
				function fastcgi_finish_request() {
					update_option( 'shop_let_go', microtime( true ) - $GLOBALS['shop_began'], false );
					return true;
				}
			}
			// A checkout: the status changes, and the answer is on its way. What the shutdown costs is measured.
			do_action( 'woocommerce_order_status_changed', $order, 'pending', 'processing', wc_get_order( $order ) );
			shop_measures();
			echo '<p>paid</p>';
			return true;
		case 'leave':
			wp_logout();
			if ( $order ) {
				do_action( 'woocommerce_order_status_changed', $order, 'pending', 'processing', wc_get_order( $order ) );
			}
			shop_measures();
			echo '<p>left</p>';
			return true;
	}
	return false;
}
