/**
 * For whom it is: asked of the variations that leave it open, and in keeping with how many places there are.
 */
( function ( $ ) {
	const setUp = function ( box ) {
		const form = box.form;
		const addresses = box.querySelector( '.academy-bridge-addresses' );
		const input = addresses.querySelector( 'input' );
		const answer = ( word ) => box.querySelector( 'input[value="' + word + '"]' );
		const places = function () {
			const quantity = form.querySelector( 'input[name="quantity"]' );
			return Math.max( 1, Number( quantity && quantity.value ) || 1 ) * Number( box.dataset.places );
		};
		const tell = function () {
			if ( 'said' in box.dataset === false ) {
				answer( places() > 1 ? 'team' : 'me' ).checked = true;
			}
			const isGift = answer( 'gift' ).checked;
			addresses.hidden = ! isGift;
			input.required = isGift;
			input.multiple = places() > 1;
			box.querySelector( '.academy-bridge-several' ).hidden = ! input.multiple;
		};

		box.addEventListener( 'change', function ( event ) {
			if ( event.target.type === 'radio' ) {
				box.dataset.said = '';
			}
			tell();
		} );
		// Some themes' buttons change the number by scripts of their own, which jQuery alone hears of.
		$( form ).on( 'change input', 'input[name="quantity"]', tell );
		$( form ).on( 'found_variation', function ( event, variation ) {
			const about = variation.academy_bridge;
			box.hidden = box.disabled = ! about;
			box.dataset.places = about ? about.places : 1;
			tell();
		} );
		$( form ).on( 'reset_data', function () {
			if ( 'variations' in box.dataset ) {
				box.hidden = box.disabled = true;
			}
		} );
		tell();
	};

	document.querySelectorAll( 'form .academy-bridge-choice' ).forEach( setUp );
} )( window.jQuery );
